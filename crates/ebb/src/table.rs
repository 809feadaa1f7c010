//! How does a list look to people? Columns that line up, also with characters of double width; colour on a terminal only.

use std::io::IsTerminal;
use unicode_width::UnicodeWidthStr;

/// Rows under a heading.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    title: &'static str,
    right: bool,
}

impl Table {
    /// A title that ends in `>` heads a column of numbers, set to the right.
    pub fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| match title.strip_suffix('>') {
            Some(title) => Column { title, right: true },
            None => Column { title, right: false },
        };
        Self { columns: titles.iter().map(column).collect(), rows: vec![] }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.columns.len(), "a row has a cell for each of {} columns", self.columns.len());
        self.rows.push(cells.map(|cell| plain(&cell)).to_vec());
    }

    /// The whole table, or `nothing` where it has no rows.
    pub fn text(&self, nothing: &str) -> String {
        if self.rows.is_empty() {
            return format!("{nothing}\n");
        }
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width(at)).collect();
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_owned()).collect();
        let head = paint(&self.line(&titles, &widths), Paint::Dim);
        let rows = self.rows.iter().map(|cells| self.line(cells, &widths));
        std::iter::once(head).chain(rows).map(|line| line + "\n").collect()
    }

    fn width(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[at].width());
        cells.max().unwrap_or(0).max(self.columns[at].title.width())
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let padded = self.columns.iter().zip(cells).zip(widths).map(|((column, cell), width)| {
            let gap = " ".repeat(width - cell.width());
            if column.right { gap + cell } else { state_colour(cell) + &gap }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// `name: value` lines about one thing, the values lined up. Empty values are left out.
pub fn facts(lines: &[(&str, String)]) -> String {
    let shown: Vec<_> = lines.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = shown.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let line = |(name, value): &&(&str, String)| {
        let gap = " ".repeat(width - name.width());
        format!("{}{gap}  {}\n", paint(name, Paint::Dim), state_colour(&plain(value)))
    };
    shown.iter().map(line).collect()
}

/// An instant as tables show it: `2026-03-01 08:58:30`, UTC, whole seconds.
pub fn instant(at: &str) -> String {
    match (at.get(..10), at.get(10..11), at.get(11..19), at.ends_with('Z')) {
        (Some(date), Some("T"), Some(time), true) => format!("{date} {time}"),
        _ => at.to_owned(),
    }
}

pub fn optional_instant(at: Option<&String>) -> String {
    at.map(|at| instant(at)).unwrap_or_default()
}

#[derive(Clone, Copy)]
pub enum Paint {
    Dim,
    Green,
    Yellow,
    Red,
}

/// Colours `text` where standard output is a terminal that wants it (<https://no-color.org>).
pub fn paint(text: &str, paint: Paint) -> String {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if !wanted || !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Dim => 2,
        Paint::Green => 32,
        Paint::Yellow => 33,
        Paint::Red => 31,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

fn state_colour(cell: &str) -> String {
    match cell {
        "running" | "up" => paint(cell, Paint::Green),
        "pending" | "starting" | "stopping" | "releasing" => paint(cell, Paint::Yellow),
        "reclaiming" | "gap" => paint(cell, Paint::Red),
        "stopped" | "released" => paint(cell, Paint::Dim),
        _ => cell.to_owned(),
    }
}

/// What others chose as a name must not move the cursor, nor turn the line around.
pub fn plain(text: &str) -> String {
    let harmful = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for a text of several lines.
pub fn plain_lines(text: &str) -> String {
    let lines = text.split('\n').map(|line| plain(&line.trim_end_matches('\r').replace('\t', "    ")));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(&["NAME", "PRICE>"]);
        table.row(["web".to_owned(), "0.07".to_owned()]);
        table.row(["基因测序\n".to_owned(), "12.00".to_owned()]);
        assert_eq!(table.text(""), "NAME       PRICE\nweb         0.07\n基因测序\u{fffd}  12.00\n");
        assert_eq!(Table::new(&["NAME"]).text("No instances."), "No instances.\n");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2J\u{9b}b\u{202e}c\n"), "a\u{fffd}[2J\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(plain_lines("a\tb\r\n\x07c\n"), "a    b\n\u{fffd}c\n");
    }

    #[test]
    fn instants_are_short() {
        assert_eq!(instant("2026-03-01T00:58:30.25Z"), "2026-03-01 00:58:30");
        assert_eq!(instant("later"), "later");
    }
}
