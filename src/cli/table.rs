//! Tables for people: aligned columns, no lines, no blanks at the ends.

use comfy_table::{Table, presets};

/// A table without lines.
pub(super) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

/// Columns two blanks apart, without blanks around the whole.
pub(super) fn rendered(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    format!("{}\n", table.trim_fmt())
}
