//! All of `homeward up` in this process, under a clock that a test steps: nothing that is shipped can be told another time.

mod outage;
mod world;
