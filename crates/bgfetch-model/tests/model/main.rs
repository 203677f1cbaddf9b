//! Tests of the model in a simulated world.

#[cfg(test)]
mod world;

#[cfg(test)]
mod fetch_call;
#[cfg(test)]
mod grants_and_totals;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod settling;
