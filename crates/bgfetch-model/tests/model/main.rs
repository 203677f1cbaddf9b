//! Tests of the model in a simulated world.

#[cfg(test)]
mod world;

#[cfg(test)]
mod resume;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod settling;
