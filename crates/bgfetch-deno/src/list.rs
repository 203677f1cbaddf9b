use serde::Serialize;

/// A list that an op gives to the scripts of an extension. It is no bare array, because a promise that
/// is resolved with one looks for `then` on `Array.prototype`, which is the page's.
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
