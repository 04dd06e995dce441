//! The command line of mailhatch.

fn main() {}
