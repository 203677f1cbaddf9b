//! How other crates make a struct that may grow.

/// Gives types the method `with`. Struct update syntax is for the crate of a type alone if the type is
/// `#[non_exhaustive]`.
#[doc(hidden)]
#[macro_export]
macro_rules! impl_with {
    ($($type:ty),+ $(,)?) => {$(
        impl $type {
            /// The same with other values in some of its fields.
            #[must_use]
            pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
                change(&mut self);
                self
            }
        }
    )+};
}
