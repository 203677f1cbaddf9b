//! HTML documents as the parts from which a window's document is built, in order: a script runs
//! once everything before it has been added.

use scraper::{Html, Node};
use serde::Serialize;

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "part", rename_all = "camelCase")]
pub(crate) enum Part {
    /// An element begins.
    Open {
        name: String,
        attributes: Vec<(String, String)>,
    },
    Text {
        text: String,
    },
    Comment {
        text: String,
    },
    /// The innermost open element ends.
    Close,
}

/// Parses any text as a document: HTML parsing never fails.
pub(crate) fn parse(text: &str) -> Vec<Part> {
    use ego_tree::iter::Edge;
    let document = Html::parse_document(text);
    let mut parts = Vec::new();
    // The contents of a template are not part of its document.
    let mut fragments = 0_u32;
    for edge in document.tree.root().traverse() {
        let (node, opens) = match edge {
            Edge::Open(node) => (node, true),
            Edge::Close(node) => (node, false),
        };
        match node.value() {
            Node::Fragment if opens => fragments += 1,
            Node::Fragment => fragments = fragments.saturating_sub(1),
            _ if fragments > 0 => {}
            Node::Element(_) if !opens => parts.push(Part::Close),
            Node::Element(element) => {
                let attributes = element.attrs().map(|(name, value)| (name.into(), value.into()));
                parts.push(Part::Open {
                    name: element.name().to_owned(),
                    attributes: attributes.collect(),
                });
            }
            Node::Text(text) if opens => parts.push(Part::Text { text: text.to_string() }),
            Node::Comment(comment) if opens => {
                parts.push(Part::Comment { text: comment.to_string() });
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let write = |part| match part {
            Part::Open { name, attributes } => {
                let attributes = attributes.iter().map(|(name, value)| format!(" {name}={value}"));
                format!("<{name}{}>", attributes.collect::<String>())
            }
            Part::Text { text } => text,
            Part::Comment { text } => format!("<!--{text}-->"),
            Part::Close => "</>".into(),
        };
        parse(text).into_iter().map(write).collect()
    }

    #[test]
    fn documents_are_parsed_as_html_says() {
        for (text, expected) in [
            ("", "<html><head></><body></></>"),
            (
                "<!doctype html><title>a &amp; b</title><!--c--><p>d<P ID=e>f",
                "<html><head><title>a & b</><!--c--></><body><p>d</><p id=e>f</></></>",
            ),
            (
                "<script src=a></script><script>'<p>'</script>",
                "<html><head><script src=a></><script>'<p>'</></><body></></>",
            ),
            (
                "<template><script>a</script></template><noscript><p>a</p></noscript>",
                "<html><head><template></><noscript><p>a</p></></><body></></>",
            ),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }
}
