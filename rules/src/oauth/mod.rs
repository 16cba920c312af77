//! OAuth 2 access tokens that the host gets for plugins (RFC 6749): what is asked for at the token URL, what the answers
//! mean, and when a token is used, renewed or not asked for again yet.
//!
//! - `ask`: the request to the token URL
//! - `answer`: what comes back
//! - `life`: when it is asked
//!
//! Deliberately absent: the consent of a user in a browser. Whoever has given it puts the refresh token into a variable
//! or a file.

mod answer;
mod ask;
mod life;

pub use answer::{Answer, Granted};
pub use ask::{Ask, Asked, ClientAuth};
pub use life::{Life, Step, Trouble};
