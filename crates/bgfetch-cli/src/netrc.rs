//! The logins of a [netrc](https://everything.curl.dev/usingcurl/netrc.html) file.

use std::iter::Peekable;
use std::str::Chars;

use crate::secret::Secret;

/// The entries of a netrc file, in order.
#[derive(Debug, Default)]
pub(crate) struct Netrc(Vec<Entry>);

#[derive(Debug, Default)]
struct Entry {
    /// `None` for the default.
    host: Option<String>,
    login: String,
    password: Option<Secret>,
}

impl Netrc {
    /// Parses a file. Macros, accounts and unknown words are ignored.
    pub(crate) fn parse(text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut words = Words(text.chars().peekable());
        while let Some(word) = words.next() {
            match word.as_str() {
                "machine" => entries.push(Entry { host: words.next(), ..Entry::default() }),
                "default" => entries.push(Entry::default()),
                "macdef" => words.skip_macro(),
                "login" | "password" | "account" => {
                    let (value, entry) = (words.next().unwrap_or_default(), entries.last_mut());
                    match (word.as_str(), entry) {
                        ("login", Some(entry)) => entry.login = value,
                        ("password", Some(entry)) => entry.password = Some(Secret(value)),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Self(entries)
    }

    /// The login and the password for a host, if there are any.
    pub(crate) fn login(&self, host: &str) -> Option<(&str, &Secret)> {
        let is_of_host =
            |entry: &&Entry| entry.host.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(host));
        let entry = self.0.iter().find(is_of_host)?;
        Some((&entry.login, entry.password.as_ref()?))
    }
}

/// The words of a file. A word may be in double quotes, with a backslash before special characters;
/// a comment begins with `#`.
struct Words<'a>(Peekable<Chars<'a>>);

impl Words<'_> {
    /// A macro ends with an empty line.
    fn skip_macro(&mut self) {
        let mut previous = None;
        for c in self.0.by_ref().filter(|c| *c != '\r') {
            if (previous, c) == (Some('\n'), '\n') {
                return;
            }
            previous = Some(c);
        }
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            while self.0.next_if(|c| c.is_whitespace()).is_some() {}
            if self.0.peek() != Some(&'#') {
                break;
            }
            self.0.by_ref().find(|c| *c == '\n')?;
        }
        self.0.peek()?;
        let mut word = String::new();
        if self.0.next_if_eq(&'"').is_none() {
            while let Some(c) = self.0.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
            return Some(word);
        }
        while let Some(c) = self.0.next() {
            match c {
                '"' => break,
                '\\' => word.extend(self.0.next()),
                c => word.push(c),
            }
        }
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_login_of_its_entry_or_the_default() {
        let netrc = Netrc::parse(
            "# mine\nmachine a.test login me password one\nmacdef init\nmachine a.test login x\n\n\
             machine B.test\n  login \"you too\"\n  password \"t\\\"wo # 2\" account z\n\
             machine c.test login nobody\ndefault login anonymous password guest\n",
        );
        let secret = |text: &str| Secret(text.into());
        for (host, expected) in [
            ("a.test", Some(("me", secret("one")))),
            ("b.test", Some(("you too", secret("t\"wo # 2")))),
            ("c.test", None),
            ("d.test", Some(("anonymous", secret("guest")))),
        ] {
            let expected = expected.as_ref().map(|(login, password)| (*login, password));
            assert_eq!(netrc.login(host), expected, "{host}");
        }
        assert!(!format!("{netrc:?}").contains("guest"));
        for text in ["", "machine", "login x password", "macdef x", "\"", "machine a.test login \""]
        {
            assert_eq!(Netrc::parse(text).login("a.test"), None, "{text:?}");
        }
    }
}
