//! Nothing here but tests: the examples are the files beside this one.

#[cfg(test)]
mod tests;
