//! Webhooks that a business's partner passes on, at an address of its own for each business. The secret that was set
//! beside the address proves them, before a byte of the body is read; of whom they speak, intake judges.

use duet_rules::business::id_is_valid;
use duet_rules::partner::{WEBHOOK_PATH, is_genuine};
use duet_rules::provider::Provider;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue};

use super::{Receive, Refusal, only};
use crate::config::Secret;
use crate::store::receipts::Partner;

/// The secrets that the partner of a business may show; none when it has no partner.
pub type PartnerSecrets = Box<dyn Fn(&str) -> Vec<Secret> + Send + Sync>;

/// The business whose partner calls this path.
pub(super) fn business_of(path: &str) -> Option<&str> {
    path.strip_prefix(WEBHOOK_PATH).filter(|id| id_is_valid(id))
}

impl Receive {
    /// A business that nobody knows is refused like a wrong secret: a stranger learns no names.
    pub(super) async fn take_of_partner(
        &self,
        request: Request<Incoming>,
        business: String,
    ) -> Result<(), Refusal> {
        let header = only(&request, AUTHORIZATION.as_str());
        let shown = header.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        let secrets = (self.partners)(&business);
        if !is_genuine(shown, secrets.iter().map(Secret::expose)) {
            return Err(Refusal::Forged { business });
        }
        let body = self.read(request.into_body()).await?;
        let provider = Provider::Dialog360;
        self.append(Some(Partner { provider, business }), body)
            .await
    }
}
