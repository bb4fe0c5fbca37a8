//! Records as a table for people: columns as wide as their widest cell.

use std::io::{self, Write};
use std::mem;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table as Layout};
use csv::{ByteRecord, ReaderBuilder};

use super::Target;

/// How much CSV is kept for one table; more begins another table with widths of its own.
const TABLE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Keeps rows of CSV, since widths need all of them, and prints them at the end.
pub(in crate::io) struct Table<W> {
    header: Vec<u8>,
    rows: Vec<u8>,
    out: W,
}

impl<W> Table<W> {
    pub(in crate::io) fn new(out: W) -> Self {
        Table {
            header: Vec::new(),
            rows: Vec::new(),
            out,
        }
    }
}

impl<W: Write + Send> Target for Table<W> {
    fn put(&mut self, _: usize, header: &[u8], rows: &[u8]) -> io::Result<()> {
        if self.header.is_empty() {
            self.header = header.to_owned();
        }
        self.rows.extend_from_slice(rows);
        if self.rows.len() > TABLE_BYTES_MAX {
            self.finish()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let rows = cells(&mem::take(&mut self.rows))?;
        if rows.is_empty() {
            return Ok(());
        }
        let table = layout(cells(&self.header)?.first(), &rows);
        writeln!(self.out, "{table}")?;
        self.out.flush()
    }
}

fn cells(csv: &[u8]) -> io::Result<Vec<Vec<String>>> {
    let text = |row: ByteRecord| {
        row.iter()
            .map(|cell| String::from_utf8_lossy(cell).into())
            .collect()
    };
    let rows = ReaderBuilder::new()
        .has_headers(false)
        .from_reader(csv)
        .into_byte_records();
    rows.map(|row| Ok(text(row?))).collect()
}

fn layout(header: Option<&Vec<String>>, rows: &[Vec<String>]) -> Layout {
    let mut table = Layout::new();
    table.load_style(UTF8_FULL_CONDENSED).add_rows(rows);
    if let Some(header) = header {
        table.set_header(header);
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        let cells = || rows.iter().filter_map(|row| row.get(number));
        if cells().all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
