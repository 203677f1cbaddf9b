//! Events from dispatch to end, through the public interface, in virtual time.

#[cfg(test)]
mod common;
#[cfg(test)]
mod dispatch;
#[cfg(test)]
mod lifetime;
#[cfg(test)]
mod update_ui;
