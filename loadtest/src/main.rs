//! Measures Streamgauge.

fn main() {}
