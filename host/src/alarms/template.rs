use super::Letter;
use crate::effect::Wake;
use crate::store::Store;
use crate::store::notices::OwnersTemplate;

/// A template to the owner's own phone, through the outbox and its gates.
pub(super) struct Template {
    store: Store,
    owners: OwnersTemplate,
    sends: Wake,
}

impl Template {
    pub(super) fn new(store: Store, owners: OwnersTemplate, sends: Wake) -> Template {
        Template {
            store,
            owners,
            sends,
        }
    }

    /// From here on it is a send like any other: the outbox tells what becomes of it.
    pub(super) async fn leave(&self, letter: &Letter, now_ms: i64) -> Result<(), String> {
        let row = self
            .store
            .notice_as_template(
                letter.row,
                self.owners.clone(),
                letter.notice.line(),
                now_ms,
            )
            .await
            .map_err(|error| error.to_string())?;
        match row {
            Some(row) => {
                (self.sends)(&[row]);
                Ok(())
            }
            None => Err(format!(
                "alarms.template_number {} is no number of this gateway",
                self.owners.number
            )),
        }
    }
}
