//! The figures as an aligned table, ours beside the peer's, with the ratio.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

/// A table that prints itself.
pub(crate) fn new(title: &str, header: &[&str]) -> Table {
    println!("\n{title}\n");
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Requests a second, in a readable number of digits.
pub(crate) fn rate(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}
