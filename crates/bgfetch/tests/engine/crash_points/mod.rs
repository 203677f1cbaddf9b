//! The process dies, or the power fails, at every recorded operation of a scenario. Everything that
//! was reported by then must be left, and the next start must find a store in order, even if it
//! crashes, too. And each sync is needed: if it does nothing, something is lost.
//!
//! `make crash-points` prints how many images were checked. What a crash loses: see
//! [`Loss`](bgfetch_store::recording::Loss).

mod fetches;
mod hand_over;
mod lab;
mod left;
