//! The spec's chapter [Automation](https://wicg.github.io/background-fetch/#automation).

pub mod click;
