use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::access::Scope;
use super::operations::OperationError;
use crate::store::StoreError;
use crate::store::businesses::BusinessError;

/// What a caller sees of a failure. What the log says of it is said where it happens.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    meta_code: Option<i64>,
}

/// Every failed request is answered so.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
struct Envelope {
    error: Failure,
}

#[derive(Serialize, ToSchema)]
struct Failure {
    /// For programs; stays the same.
    code: &'static str,
    /// For people.
    message: String,
    /// Meta's own error code, when it would have refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    meta_code: Option<i64>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            code,
            message: message.into(),
            meta_code: None,
        }
    }

    /// Says nothing of why: a stranger learns neither whether a token exists nor what it lacks.
    pub(super) fn unauthorized() -> ApiError {
        let message = "send a valid token as Authorization: Bearer TOKEN";
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(super) fn missing_scope(scope: Scope) -> ApiError {
        let message = format!("the token lacks the scope {}", scope.as_str());
        ApiError::new(StatusCode::FORBIDDEN, "missing_scope", message)
    }

    pub(super) fn beyond_the_wall() -> ApiError {
        let message = "this is about the whole gateway, and the token is one business's; use a token without a business";
        ApiError::new(StatusCode::FORBIDDEN, "whole_gateway", message)
    }

    pub(super) fn parameter(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", message)
    }

    pub(super) fn body(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_body", message)
    }

    pub(super) fn body_too_large() -> ApiError {
        let message = format!("the body has more than {} bytes", super::BODY_BYTES_MAX);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(super) fn file_too_large(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method_not_allowed() -> ApiError {
        let message = "this path does not take this method";
        ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        )
    }

    pub(super) fn refused(reason: impl Into<String>, meta_code: Option<i64>) -> ApiError {
        ApiError {
            meta_code,
            ..ApiError::new(StatusCode::CONFLICT, "refused", reason)
        }
    }

    pub(super) fn unavailable() -> ApiError {
        ApiError::busy("the gateway cannot do this now; try again later")
    }

    /// What is asked for can be done, but not at once with all else.
    pub(super) fn busy(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub(super) fn too_slow(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message)
    }

    pub(super) fn internal() -> ApiError {
        let message = "the gateway failed; its log says why";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The same for somebody to whom its words would say nothing.
    pub(super) fn told(self, message: impl Into<String>) -> ApiError {
        let message = message.into();
        ApiError { message, ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let ApiError {
            status,
            code,
            message,
            meta_code,
        } = self;
        let body = Json(Envelope {
            error: Failure {
                code,
                message,
                meta_code,
            },
        });
        let mut response = (status, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        tracing::warn!(%error, "the admin API could not use the store");
        match error {
            StoreError::Unavailable(_) | StoreError::Stopped | StoreError::LeaseLost(_) => {
                ApiError::unavailable()
            }
            StoreError::Conflict | StoreError::Bound { .. } | StoreError::Sqlite(_) => {
                ApiError::internal()
            }
        }
    }
}

impl From<BusinessError> for ApiError {
    fn from(error: BusinessError) -> ApiError {
        match error {
            BusinessError::Store(error) => error.into(),
            BusinessError::Id(_) => ApiError::body(format!("id: {error}")),
            BusinessError::Unknown(_) => ApiError::not_found(error.to_string()),
            BusinessError::Exists(_)
            | BusinessError::Own
            | BusinessError::InUse { .. }
            | BusinessError::Taken(_)
            | BusinessError::HasConversations { .. } => ApiError::refused(error.to_string(), None),
        }
    }
}

impl From<OperationError> for ApiError {
    fn from(error: OperationError) -> ApiError {
        match error {
            OperationError::NotFound(what) => {
                ApiError::not_found(format!("there is no such {what}"))
            }
            OperationError::Invalid(reason) => ApiError::body(reason),
            OperationError::Refused { reason, code } => ApiError::refused(reason, code),
            OperationError::Unavailable(reason) => {
                tracing::warn!(reason, "an operation of the admin API is not possible now");
                ApiError::unavailable()
            }
            OperationError::Failed(reason) => {
                tracing::error!(reason, "an operation of the admin API has failed");
                ApiError::internal()
            }
        }
    }
}

/// Adds what may go wrong on every route behind a token.
pub(super) fn describe(operation: &mut Operation) {
    let answers = [
        (
            "400",
            "A parameter or the body cannot be used; the message names it",
        ),
        ("401", "No valid token"),
        (
            "403",
            "The token lacks the scope that the message names, or is one business's and this is about the whole gateway",
        ),
        ("503", "The gateway cannot do this now"),
    ];
    for (status, description) in answers {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Error")))
            .build();
        let response = ResponseBuilder::new()
            .description(description)
            .content("application/json", content)
            .build();
        operation
            .responses
            .responses
            .entry(status.into())
            .or_insert(RefOr::T(response));
    }
}

pub(super) fn add_schema(components: &mut Components) {
    components
        .schemas
        .insert("Error".into(), Envelope::schema());
    components
        .schemas
        .insert("Failure".into(), Failure::schema());
}
