//! [Dangling markup](bgfetch_model::dangling_markup): a URL that may contain text of the page,
//! because an injected tag was not closed.

use super::{Blocked, Hop};

/// Refuses a URL that may be dangling markup. Only called for HTTP(S) URLs.
///
/// # Errors
/// [`Blocked::DanglingMarkup`].
pub fn check(hop: &Hop) -> Result<(), Blocked> {
    if hop.dangling_markup { Err(Blocked::DanglingMarkup) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgfetch_model::request::Request;

    #[test]
    fn the_mark_on_the_url_decides() {
        let mut hop = Hop::first(&Request::get("https://a.test/?<".parse().unwrap()));
        assert_eq!(check(&hop), Ok(()));
        hop.dangling_markup = true;
        assert_eq!(check(&hop), Err(Blocked::DanglingMarkup));
    }
}
