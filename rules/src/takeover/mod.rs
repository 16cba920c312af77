//! How long a person keeps a conversation, and who had it when: pure functions of a number's settings and of time.
//!
//! A person's word is an echo, an agent's reply or a handover without a time of its own. From it on the person has the
//! conversation, and automations are silent in it:
//!
//! | working hours | until |
//! |---|---|
//! | none are set | the word + `person_hours` |
//! | set | the first moment outside of them that is at least `grace_minutes` after the word, and never longer than `person_hours` |
//!
//! With `mon-fri 09:00-18:00`, 12 `person_hours` and 60 `grace_minutes`:
//!
//! | the person writes | and keeps it until | because |
//! |---|---|---|
//! | Monday 10:00 | Monday 18:00 | the day's work is over |
//! | Monday 17:45 | Monday 18:45 | nobody breaks into a talk that goes on |
//! | Monday 22:00 | Monday 23:00 | a late word takes no night |
//! | Tuesday 08:30 | Tuesday 18:00 | the day has begun when the grace is over |
//!
//! A later word never ends it earlier. Who hands over for a time of its own is taken at its word.
//!
//! - `hours`: the working hours of a place
//! - `settings`: what an admin says of a number
//! - `story`: who had a conversation when

mod hours;
mod settings;
mod story;

pub use settings::{Invalid, Settings, Terms};
pub use story::{Cause, Change, story};
