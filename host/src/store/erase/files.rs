//! Files that went to the contact, or came from it. One that its business handed over for nobody else is about the
//! contact, and goes with it; the file itself goes with the last of all that refer to it.

use std::collections::BTreeSet;

use duet_rules::sending::files;
use rusqlite::{Connection, params};

use super::super::StoreError;

/// The digests of all files that a conversation's messages have and its sends name, in hex. To be asked before they go.
pub(super) fn of_conversation(
    connection: &Connection,
    conversation: i64,
) -> Result<BTreeSet<String>, StoreError> {
    let mut found: BTreeSet<String> = connection
        .prepare_cached(
            "SELECT f.digest FROM messages m JOIN media f ON f.message = m.id
             WHERE m.conversation = ?1 AND f.digest IS NOT NULL",
        )?
        .query_map([conversation], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut sends =
        connection.prepare_cached("SELECT message FROM outbox WHERE conversation = ?1")?;
    let mut rows = sends.query([conversation])?;
    while let Some(row) = rows.next()? {
        let message = row.get_ref(0)?.as_str().unwrap_or_default();
        let named = files(&serde_json::from_str(message).unwrap_or_default());
        let named = named.unwrap_or_default().into_iter();
        found.extend(named.map(|file| file.digest.to_string()));
    }
    Ok(found)
}

/// Lets go of those that a business handed over and that none of its messages and sends has any more.
pub(super) fn let_go(
    connection: &Connection,
    business: &str,
    digests: &BTreeSet<String>,
) -> Result<(), StoreError> {
    for digest in digests {
        connection
            .prepare_cached(
                "DELETE FROM media_given WHERE business = ?1 AND digest = ?2
                 AND NOT EXISTS (SELECT 1 FROM media f JOIN messages m ON m.id = f.message
                     JOIN conversations c ON c.id = m.conversation JOIN contacts k ON k.id = c.contact
                     WHERE f.digest = ?2 AND k.business = ?1)
                 AND NOT EXISTS (SELECT 1 FROM outbox_files f JOIN outbox o ON o.id = f.outbox
                     JOIN conversations c ON c.id = o.conversation JOIN contacts k ON k.id = c.contact
                     WHERE f.digest = ?2 AND k.business = ?1)
                 AND NOT EXISTS (SELECT 1 FROM media_given_for WHERE business = ?1 AND digest = ?2)",
            )?
            .execute(params![business, digest])?;
    }
    Ok(())
}
