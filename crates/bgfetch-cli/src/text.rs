//! Text from elsewhere (titles, servers, URLs) as it may be shown on a terminal.

/// The text without what would move the cursor, change colours, break the line or reverse its
/// direction.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect()
}

/// Whether a character only ever shows itself.
pub(crate) fn is_printable(c: char) -> bool {
    let directs =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    !c.is_control() && !directs && !breaks
}

/// The text cut to `width` characters, its end shown by an ellipsis.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
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
    }
}
