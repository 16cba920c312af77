use std::io::{Seek, SeekFrom};

use axum::body::Body;
use axum::extract::State;
use axum::http::response::Builder;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use duet_rules::media::{Part, attachment, content_type, part};
use tokio::io::{AsyncReadExt, Take};

use crate::admin::App;
use crate::admin::access::Walled;
use crate::admin::error::ApiError;
use crate::admin::input::Within;
use crate::store::media::{MessageFile, StoredFile};

const CHUNK_BYTES: usize = 64 << 10;

/// The file of a message; `message` is its id in the list of messages. One `Range` is understood. Only bytes that
/// still are what Meta sent are given, and as nothing that a browser would run.
#[utoipa::path(get, path = "/conversations/{id}/messages/{message}/media",
    params(("id" = i64, Path), ("message" = String, Path)), responses(
        (status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "A part of them", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "They are those of If-None-Match"),
        (status = 404, description = "There is no such message, it has no file, or the file is not here"),
        (status = 416, description = "The range lies beyond the end"),
    ))]
pub(super) async fn file(
    State(app): State<App>,
    Walled(wall): Walled,
    Within(conversation, message): Within,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let found = app.store.message_file(wall, conversation, message).await?;
    let found = found.ok_or_else(|| ApiError::not_found("there is no such message with a file"))?;
    let Some(StoredFile { digest, .. }) = found.stored else {
        let message = format!("the file is not here, its state is {}", found.state);
        return Err(ApiError::not_found(message));
    };
    let head = Head {
        tag: format!("\"{digest}\""),
        file: found,
    };
    let tag = head.tag.clone();
    let asked = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if asked(header::IF_NONE_MATCH) == Some(&tag) {
        return answer(&head, StatusCode::NOT_MODIFIED, Body::empty(), |head| head);
    }
    let folder = app.store.media_folder();
    let opened = tokio::task::spawn_blocking(move || folder.open(digest)).await;
    let (file, bytes) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            tracing::error!(%error, %digest, "a file of a message cannot be handed out");
            return Err(ApiError::internal());
        }
        Err(_) => return Err(ApiError::unavailable()),
    };
    let same = asked(header::IF_RANGE).is_none_or(|known| known == tag);
    match part(asked(header::RANGE).filter(|_| same), bytes) {
        Part::Whole => answer(&head, StatusCode::OK, stream(file, 0, bytes)?, |head| {
            head.header(header::CONTENT_LENGTH, bytes)
        }),
        Part::Bytes(range) => {
            let (first, last) = (*range.start(), *range.end());
            let count = last - first + 1;
            let body = stream(file, first, count)?;
            answer(&head, StatusCode::PARTIAL_CONTENT, body, |head| {
                head.header(header::CONTENT_LENGTH, count).header(
                    header::CONTENT_RANGE,
                    format!("bytes {first}-{last}/{bytes}"),
                )
            })
        }
        Part::Beyond => answer(
            &head,
            StatusCode::RANGE_NOT_SATISFIABLE,
            Body::empty(),
            |head| head.header(header::CONTENT_RANGE, format!("bytes */{bytes}")),
        ),
    }
}

/// What every answer about a file says of it.
struct Head {
    tag: String,
    file: MessageFile,
}

fn answer(
    about: &Head,
    status: StatusCode,
    body: Body,
    more: impl FnOnce(Builder) -> Builder,
) -> Result<Response, ApiError> {
    let head = Response::builder()
        .status(status)
        .header(header::ETAG, &about.tag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(
            header::CONTENT_TYPE,
            content_type(about.file.mime_type.as_deref()),
        )
        .header(
            header::CONTENT_DISPOSITION,
            attachment(about.file.filename.as_deref()),
        )
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONTENT_SECURITY_POLICY, "sandbox");
    more(head).body(body).map_err(|error| {
        tracing::error!(%error, "the head of an answer cannot be made");
        ApiError::internal()
    })
}

/// `count` bytes from `first` on, read while they are sent.
fn stream(mut file: std::fs::File, first: u64, count: u64) -> Result<Body, ApiError> {
    if let Err(error) = file.seek(SeekFrom::Start(first)) {
        tracing::error!(%error, "a file of a message cannot be read");
        return Err(ApiError::internal());
    }
    let file = tokio::fs::File::from_std(file).take(count);
    Ok(Body::from_stream(futures_util::stream::try_unfold(
        file, chunk,
    )))
}

async fn chunk(
    mut file: Take<tokio::fs::File>,
) -> std::io::Result<Option<(Bytes, Take<tokio::fs::File>)>> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let count = file.read(&mut buffer).await?;
    buffer.truncate(count);
    Ok((count > 0).then(|| (buffer.into(), file)))
}
