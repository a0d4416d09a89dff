//! keyfold
fn main(){}
