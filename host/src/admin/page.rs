use super::error::ApiError;
use crate::store::views::{MessagePlace, Page};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// A page from the query's `after` and `limit`.
pub(super) fn page(after: Option<i64>, limit: Option<i64>) -> Result<Page, ApiError> {
    let after = after.unwrap_or(0);
    if after < 0 {
        return Err(ApiError::parameter("after: must be 0 or more"));
    }
    Ok(Page {
        after,
        limit: self::limit(limit)?,
    })
}

/// More than the most is taken as the most: `next` goes on anyway.
pub(super) fn limit(limit: Option<i64>) -> Result<u32, ApiError> {
    match limit {
        None => Ok(LIMIT_DEFAULT),
        Some(..=0) => Err(ApiError::parameter("limit: must be 1 or more")),
        Some(limit) => Ok(u32::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)),
    }
}

/// A place among messages, as `next` wrote it: `<ms>.<row>`.
pub(super) fn message_place(after: &str) -> Result<Option<MessagePlace>, ApiError> {
    if after.is_empty() || after == "0" {
        return Ok(None);
    }
    let place = after.split_once('.').and_then(|(at_ms, id)| {
        Some(MessagePlace {
            at_ms: at_ms.parse().ok()?,
            id: id.parse().ok()?,
        })
    });
    place
        .map(Some)
        .ok_or_else(|| ApiError::parameter("after: must be a `next` of this list"))
}

pub(super) fn message_cursor(place: MessagePlace) -> String {
    format!("{}.{}", place.at_ms, place.id)
}
