#!/usr/bin/env python3
"""shrink_node.py NODE OUT [BUILTIN…] - an ELF file with nothing of node but what tells V8's layout.

The symbols v8dbg_*, V8's version, the sizes of bytecodes and the place of the embedded builtins,
with the values that they have in NODE; and of the builtins those that are named. Small enough to
be kept with the tests, and as hostile to change as any file.
"""

import re
import struct
import sys

WANTED = re.compile(r"v8dbg_\w+|_ZN2v88internal7Version\w+|\w*kBytecodeSizes\w*|"
                    r"v8_Default_embedded_blob_\w+")
SYMBOL = struct.Struct("<IBBHQQ")
SECTION = struct.Struct("<IIQQQQIIQQ")
EM_X86_64, ET_EXEC, PT_LOAD = 62, 2, 1
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS = 1, 2, 3, 8
SHF_ALLOC, SHF_EXECINSTR = 2, 4
STB_GLOBAL_OBJECT, STB_GLOBAL_FUNC = 0x11, 0x12
DATA_ADDRESS = 0x10000


class Elf:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.image = file.read()
        offset, = struct.unpack_from("<Q", self.image, 40)
        count, = struct.unpack_from("<H", self.image, 60)
        self.sections = [SECTION.unpack_from(self.image, offset + i * SECTION.size)
                         for i in range(count)]

    def symbols(self):
        for _, kind, _, _, offset, size, link, *_ in self.sections:
            if kind == SHT_SYMTAB:
                names = self.sections[link][4]
                for at in range(offset, offset + size, SYMBOL.size):
                    name, info, _, section, value, length = SYMBOL.unpack_from(self.image, at)
                    end = self.image.index(b"\0", names + name)
                    yield self.image[names + name:end].decode("utf-8", "replace"), info, section, \
                        value, length

    def bytes_at(self, section, address, size):
        _, kind, _, start, offset, *_ = self.sections[section]
        at = offset + address - start
        return bytes(size) if kind == SHT_NOBITS else self.image[at:at + size]


def gather(elf, builtins):
    """Data with [(name, address, size)] of what lies in it, and the builtins that are wanted."""
    data, objects, functions = bytearray(), [], []
    for name, info, section, value, size in elf.symbols():
        if section in (0, 0xfff1) or section >= len(elf.sections):
            continue
        if WANTED.fullmatch(name) and info & 15 == 1:
            data += bytes(-len(data) % 8)
            objects.append((name, DATA_ADDRESS + len(data), size))
            data += elf.bytes_at(section, value, min(size, 4096))
        elif name in builtins or name.startswith("v8_Default_embedded_blob_code_data"):
            functions.append((name, value, size))
    return bytes(data), objects, functions


def write(path, data, objects, functions):
    names, symbols = bytearray(b"\0"), bytearray(SYMBOL.size)
    for kind, section, rows in ((STB_GLOBAL_OBJECT, 1, objects), (STB_GLOBAL_FUNC, 2, functions)):
        for name, value, size in rows:
            symbols += SYMBOL.pack(len(names), kind, 0, section, value, size)
            names += name.encode() + b"\0"
    titles = b"\0.rodata\0.text\0.symtab\0.strtab\0.shstrtab\0"
    start = min((value for _, value, _ in functions), default=0)
    end = max((value + size for _, value, size in functions), default=0)
    at = 64 + 56
    body, sections = bytearray(), [SECTION.pack(*[0] * 10)]
    for title, kind, flags, address, content, link, info, entry in (
            (b".rodata", SHT_PROGBITS, SHF_ALLOC, DATA_ADDRESS, data, 0, 0, 0),
            (b".text", SHT_NOBITS, SHF_ALLOC | SHF_EXECINSTR, start, end - start, 0, 0, 0),
            (b".symtab", SHT_SYMTAB, 0, 0, symbols, 4, 1, SYMBOL.size),
            (b".strtab", SHT_STRTAB, 0, 0, names, 0, 0, 0),
            (b".shstrtab", SHT_STRTAB, 0, 0, titles, 0, 0, 0)):
        body += bytes(-len(body) % 8)
        size = content if kind == SHT_NOBITS else len(content)
        sections.append(SECTION.pack(titles.index(title), kind, flags, address, at + len(body),
                                     size, link, info, 8, entry))
        if kind != SHT_NOBITS:
            body += content
    body += bytes(-len(body) % 8)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1" + bytes(9), ET_EXEC, EM_X86_64, 1,
                         0, 64, at + len(body), 0, 64, 56, 1, 64, len(sections), 5)
    load = struct.pack("<IIQQQQQQ", PT_LOAD, 4, at, DATA_ADDRESS, DATA_ADDRESS, len(data),
                       len(data), 8)
    with open(path, "wb") as file:
        file.write(header + load + body + b"".join(sections))


def main():
    write(sys.argv[2], *gather(Elf(sys.argv[1]), set(sys.argv[3:])))


if __name__ == "__main__":
    main()
