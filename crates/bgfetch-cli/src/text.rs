//! Makes external text (titles, servers, URLs) safe and short enough for a terminal.

use unicode_width::UnicodeWidthChar as _;

/// Replaces characters that would move the cursor, change colours, break the line or reverse its
/// direction.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect()
}

/// Whether a character has no effect other than being shown.
pub(crate) fn is_printable(c: char) -> bool {
    let directs =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    !c.is_control() && !directs && !breaks
}

/// The maximum number of terminal cells that the text takes.
pub(crate) fn cells(text: &str) -> usize {
    text.chars().map(cells_of).sum()
}

/// Terminals join emoji in different ways, so each character is counted separately.
fn cells_of(c: char) -> usize {
    match c {
        // Turns the preceding character into an emoji, which takes two cells.
        '\u{fe0f}' => 1,
        c => c.width().unwrap_or_default(),
    }
}

/// Cuts the text to `width` cells, with an ellipsis at its end.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if cells(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let fits = cells_of(*c) <= left;
        left = left.saturating_sub(cells_of(*c));
        fits
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.extend((width > 0).then_some('…'));
    short
}

/// Cuts or pads the text to exactly `width` cells.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let mut text = shortened(text, width);
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(cells(&text))));
    text
}

/// Removes the error numbers that the standard library appends to the system's messages.
pub(crate) fn without_code(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        words.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    words + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_is_shown() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{202e}ü"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}ü");
    }

    #[test]
    fn long_text_shows_that_it_was_cut() {
        assert_eq!(shortened("grün", 4), "grün");
        assert_eq!(shortened("grüner", 4), "grü…");
        assert_eq!(shortened("日本語", 6), "日本語");
        assert_eq!(shortened("日本語", 5), "日本…");
        assert_eq!(shortened("日本語", 4), "日…");
        assert_eq!((shortened("x", 0).as_str(), shortened("xy", 1).as_str()), ("", "…"));
    }

    #[test]
    fn columns_are_counted_in_cells() {
        for (text, expected) in [("grün", 4), ("gru\u{308}n", 4), ("日本", 4), ("❤\u{fe0f}", 2)]
        {
            assert_eq!(cells(text), expected, "{text}");
        }
        assert_eq!(padded("日本語", 6), "日本語");
        assert_eq!(padded("日本語", 4), "日… ");
        assert_eq!(padded("ab", 4), "ab  ");
    }

    #[test]
    fn errors_of_the_system_have_no_numbers() {
        let text = "a: Connection refused (os error 111); then b (os error 2)";
        assert_eq!(without_code(text), "a: Connection refused; then b");
    }
}
