// shapes.rs - what rustc's DWARF looks like: methods inside types, closures, iterators, maps.
use std::collections::HashMap;

struct Entry {
    x: i64,
    name: String,
}

impl Entry {
    fn sum(&self) -> i64 {
        self.x + self.name.len() as i64
    }
}

fn work(n: i64) -> i64 {
    let mut entries: HashMap<i64, Entry> = HashMap::new();
    for i in 0..n {
        entries.insert(i % 97, Entry { x: i, name: format!("p{}", i) });
    }
    let mut sums: Vec<i64> = entries.values().map(|e| e.sum()).collect();
    sums.sort_by(|a, b| b.cmp(a));
    sums.iter().filter(|x| *x % 3 == 0).sum()
}

fn main() {
    println!("{}", work(std::env::args().count() as i64 * 1000));
}
