//! Makes external text (titles, servers, URLs) safe and short enough for a terminal.

use std::fmt::Write as _;

use icu_properties::props::{DefaultIgnorableCodePoint, ExtendedPictographic};
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed};
use unicode_width::UnicodeWidthChar as _;

/// Replaces characters that would move the cursor, change colours, break the line, reverse its
/// direction or be invisible.
pub(crate) fn printable(text: &str) -> String {
    replaced(text, '\u{fffd}')
}

/// Replaces each character that does anything other than being shown.
pub(crate) fn replaced(text: &str, replacement: char) -> String {
    judged(text).map(|(c, is_shown)| if is_shown { c } else { replacement }).collect()
}

/// The same text of JSON, with escapes for such characters: all of them are in strings.
pub(crate) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for (c, is_shown) in judged(json) {
        if is_shown {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // A String takes any text.
            write!(escaped, "\\u{unit:04x}").unwrap_or_default();
        }
    }
    escaped
}

/// Each character, and whether it may be shown. What a server or a page may show in a terminal or
/// call a file is decided here alone.
fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    text.chars().scan(None, |previous, c| {
        let is_shown = is_shown(c) || is_emoji_style(c, *previous);
        *previous = Some(c);
        Some((c, is_shown))
    })
}

/// Whether a character is visible, or is a space, and has no other effect.
fn is_shown(c: char) -> bool {
    const IGNORABLE: CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    // Unicode does not call these ignorable, although few programs show them.
    let annotates = matches!(c, '\u{fff9}'..='\u{fffb}');
    !c.is_control() && !breaks && !annotates && !IGNORABLE.contains(c)
}

/// Whether a character only chooses between the styles of the emoji before it. Many titles contain
/// one.
fn is_emoji_style(c: char, previous: Option<char>) -> bool {
    const EMOJI: CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<ExtendedPictographic>();
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
        && previous.is_some_and(|previous| EMOJI.contains(previous))
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

/// Cuts the text to `width` cells, with an ellipsis inside: the end of a name, with its number and its
/// extension, tells it apart from others.
pub(crate) fn shortened_inside(text: &str, width: usize) -> String {
    if cells(text) <= width {
        return text.to_owned();
    }
    let mut left = width / 3;
    let fits = |(_, c): &(usize, char)| {
        let fits = cells_of(*c) <= left;
        left = left.saturating_sub(cells_of(*c));
        fits
    };
    // Not a combining character without its base.
    let ends = text.char_indices().rev().take_while(fits).filter(|(_, c)| cells_of(*c) > 0);
    let end = ends.last().and_then(|(start, _)| text.get(start..)).unwrap_or_default();
    shortened(text, width.saturating_sub(cells(end))) + end
}

/// Cuts or pads the text to exactly `width` cells.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let mut text = shortened_inside(text, width);
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
    fn json_means_the_same_when_it_commands_nothing() {
        let value = "\u{9b}2J\u{202e} \u{1b} \"ü\" \u{e0041}";
        let json = escaped(&serde_json::to_string(value).unwrap());
        assert_eq!(json, r#""\u009b2J\u202e \u001b \"ü\" \udb40\udc41""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
    }

    #[test]
    fn what_is_invisible_is_replaced() {
        for c in [
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{2028}',
            '\u{202a}',
            '\u{2060}',
            '\u{2066}',
            '\u{206f}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{fffa}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            assert_eq!(replaced(&format!("a{c}b"), '_'), "a_b", "{c:?}");
        }
        // Right-to-left letters need no marks, and combining characters are visible.
        for text in
            ["שלום", "مرحبا", "gru\u{308}n", "日本 語", "🎬 ❤\u{fe0f} ☎\u{fe0e}", "a\u{a0}b"]
        {
            assert_eq!(printable(text), text);
        }
        assert_eq!(printable("1\u{fe0f} \u{fe0f}"), "1\u{fffd} \u{fffd}");
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
    fn the_end_of_a_long_name_is_kept() {
        assert_eq!(shortened_inside("grün", 4), "grün");
        assert_eq!(shortened_inside("a long name 1.bin", 12), "a long ….bin");
        assert_eq!(shortened_inside("文件名文件名1.bin", 14), "文件名文….bin");
        assert_eq!(shortened_inside("abcdefe\u{301}f", 6), "abc…e\u{301}f");
        for width in 0..20 {
            let short = shortened_inside(&"文e\u{301}".repeat(50), width);
            assert!(cells(&short) <= width && (width == 0 || short.contains('…')), "{short}");
        }
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
