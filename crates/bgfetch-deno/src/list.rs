use serde::Serialize;

/// A list that an op returns to the scripts of an extension. It is not a bare array, because
/// resolving a promise with an array looks up `then` on `Array.prototype`, which the page can
/// change.
#[derive(Clone, Debug, Serialize)]
pub struct List<T> {
    /// The elements.
    pub list: Vec<T>,
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self { list: elements.into_iter().collect() }
    }
}
