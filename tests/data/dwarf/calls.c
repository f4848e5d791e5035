/*
 * calls.c - known lines for test_dwarf: each marker stands on the line that the test expects.
 */
static volatile int sink;

static inline __attribute__((always_inline)) void innermost(int value) /* DECLARED innermost */
{
    sink += value; /* LINE innermost */
}

static inline __attribute__((always_inline)) void middle(int value)
{
    innermost(value); /* LINE middle */
}

__attribute__((noinline)) void outer(int value) /* DECLARED outer */
{
    middle(value); /* LINE outer */
}

/* A generated file: lines too large for the packed rows. */
__attribute__((noinline)) int generated(int value)
{
#line 1500000 "parser.generated.c"
    return value * sink;
}

int main(int argc, char **argv)
{
    (void)argv;
    outer(argc);
    return generated(argc) == 12345;
}
