//! Tests of the model in a simulated world.

#[cfg(test)]
mod world;

#[cfg(test)]
mod settling;
