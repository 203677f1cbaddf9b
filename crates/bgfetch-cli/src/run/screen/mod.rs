//! The terminal as a user interface: drawing, and keys.

mod view;

use std::io;

use bgfetch::{Event, FetchKey, Job, What};
use crossterm::event::{Event as TerminalEvent, EventStream, KeyCode, KeyEvent, KeyModifiers};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;

use self::view::View;
use super::console::{Said, Saying};
use super::lines::{Lines, lines_of};
use crate::text::printable;

/// A command of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Pause(FetchKey),
    Resume(FetchKey),
    Cancel(FetchKey),
    Click(FetchKey),
    /// Click an element of the page, given by its selector.
    ClickElement(String),
    /// Show another fetch as selected, or redraw in another size.
    Redraw,
    Quit,
}

/// The terminal's alternate screen, until it is dropped.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    keys: EventStream,
    view: View,
    lines: Lines,
}

impl Screen {
    /// Takes over the terminal.
    ///
    /// # Errors
    ///
    /// The terminal cannot be drawn on.
    pub(super) fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        Ok(Self {
            terminal,
            keys: EventStream::new(),
            view: View::default(),
            lines: Lines::default(),
        })
    }

    pub(super) fn opening(&mut self, url: &str) {
        self.view.page = printable(url);
    }

    /// See [`Lines::line_of`].
    pub(super) fn line_of(&mut self, event: &Event, handled: Option<&str>) -> Option<String> {
        if let What::RecordSettled { record, message: Some(reason), .. } = &event.what {
            self.view.reasons.insert((event.fetch, record.index.0), reason.clone());
        }
        self.lines.line_of(event, handled)
    }

    /// Adds a line to the console lines.
    pub(super) fn remark(&mut self, line: &str) {
        self.view.log(printable(line));
    }

    pub(super) fn said(&mut self, said: &Said) {
        if let Saying::Notification(notification) = &said.what {
            self.view.notify(said.by, notification);
        }
        lines_of(said).iter().for_each(|line| self.remark(line));
    }

    /// Assigns keys to clicks on these elements of the page.
    pub(super) fn offer(&mut self, selectors: &[String]) {
        selectors.clone_into(&mut self.view.clickable);
    }

    pub(super) fn draw(&mut self, jobs: &[Job]) -> io::Result<()> {
        self.view.update(jobs);
        self.redraw()
    }

    fn redraw(&mut self) -> io::Result<()> {
        self.terminal.draw(|frame| self.view.draw(frame)).map(drop)
    }

    /// Waits for a key that is a command.
    pub(super) async fn command(&mut self) -> Command {
        loop {
            match self.keys.next().await {
                Some(Ok(TerminalEvent::Key(key))) => {
                    if let Some(command) = self.view.key(key) {
                        return command;
                    }
                }
                Some(Ok(TerminalEvent::Resize(..))) => return Command::Redraw,
                Some(Ok(_)) => {}
                // The terminal is gone.
                Some(Err(_)) | None => return Command::Quit,
            }
        }
    }

    /// Restores the terminal, and returns the lines that were shown on it.
    pub(super) fn close(mut self) -> Vec<String> {
        self.view.take_log()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl View {
    /// The command of a key, if it is one.
    fn key(&mut self, key: KeyEvent) -> Option<Command> {
        if key.is_release() {
            return None;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => Some(Command::Quit),
            KeyCode::Char('q') => Some(Command::Quit),
            KeyCode::Up | KeyCode::Char('k') => self.select(-1),
            KeyCode::Down | KeyCode::Char('j') => self.select(1),
            KeyCode::Char('p') => self.selected().map(Command::Pause),
            KeyCode::Char('r') => self.selected().map(Command::Resume),
            KeyCode::Char('c') => self.selected().map(Command::Cancel),
            KeyCode::Enter => self.selected().map(Command::Click),
            KeyCode::Char(digit @ '1'..='9') => {
                let place = digit.to_digit(10)?.checked_sub(1)?;
                self.clickable.get(usize::try_from(place).ok()?).cloned().map(Command::ClickElement)
            }
            _ => None,
        }
    }
}
