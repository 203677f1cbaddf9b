//! Lines on a terminal that are drawn in place of the previous ones.

use std::io;

use console::Term;

use crate::text::{cells, printable};

pub(crate) struct InPlace {
    terminal: Term,
    /// The lines on the screen.
    drawn: Vec<String>,
}

impl InPlace {
    pub(crate) fn new() -> Self {
        Self { terminal: Term::buffered_stdout(), drawn: Vec::new() }
    }

    /// How many cells a line may have, and the terminal's height. Some terminals move to the next
    /// line when the last cell is written.
    pub(crate) fn size(&self) -> (usize, usize) {
        let (height, width) = self.terminal.size();
        (usize::from(width).saturating_sub(1), height.into())
    }

    /// Draws these lines, each of which fits the terminal.
    pub(crate) fn draw(&mut self, lines: Vec<String>) {
        let drawn = std::mem::replace(&mut self.drawn, lines);
        self.replace(&drawn, &self.drawn);
    }

    /// Writes a line that stays above the drawn ones.
    pub(crate) fn note(&mut self, text: &str) {
        let drawn = std::mem::take(&mut self.drawn);
        let text = printable(text);
        self.replace(&drawn, std::iter::once(&text).chain(&drawn));
        self.drawn = drawn;
    }

    /// Lets something else write to the terminal.
    pub(crate) fn suspended(&mut self, write: impl FnOnce()) {
        let drawn = std::mem::take(&mut self.drawn);
        self.replace(&drawn, []);
        write();
        self.draw(drawn);
    }

    /// Replaces the drawn lines by others. If the terminal is gone, errors do not matter.
    fn replace<'a>(&self, drawn: &[String], lines: impl IntoIterator<Item = &'a String>) {
        let replace = || -> io::Result<()> {
            // If the terminal became narrower, it has wrapped lines that are too wide now.
            let width = usize::from(self.terminal.size().1).max(1);
            let rows = drawn.iter().map(|line| cells(line).div_ceil(width).max(1));
            // If Ctrl-C was pressed, its echo is on the last line.
            self.terminal.write_str("\r")?;
            self.terminal.move_cursor_up(rows.sum())?;
            self.terminal.clear_to_end_of_screen()?;
            for line in lines {
                self.terminal.write_line(line)?;
            }
            self.terminal.flush()
        };
        replace().unwrap_or_default();
    }
}

impl Drop for InPlace {
    /// However the command ends, later output begins on an empty line.
    fn drop(&mut self) {
        self.draw(Vec::new());
    }
}
