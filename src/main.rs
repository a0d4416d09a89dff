//! keyfold
fn main() {}
