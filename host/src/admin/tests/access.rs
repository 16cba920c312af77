//! Who may do what.

use super::*;

#[tokio::test]
async fn the_description_lists_every_route_and_each_asks_for_its_scope() {
    let fixture = Fixture::start().await;
    let routes = fixture.routes().await;
    let listed: Vec<_> = routes
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    for route in [
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /signup",
        "GET /signup/page.js",
        "GET /signup/page.css",
        "GET /signup/progress",
        "POST /signup/progress",
        "POST /api/v1/signups",
        "GET /api/v1/openapi.json",
        "GET /api/v1/version",
        "GET /api/v1/events",
        "GET /api/v1/plugins",
        "GET /api/v1/plugins/p1/logs",
        "POST /api/v1/plugins/p1/replay",
        "POST /api/v1/plugins/p1/promote",
        "POST /api/v1/plugins/p1/rollback",
        "GET /api/v1/numbers",
        "GET /api/v1/numbers/1/handling",
        "PUT /api/v1/numbers/1/handling",
        "GET /api/v1/numbers/1/ledger",
        "GET /api/v1/conversations",
        "GET /api/v1/conversations/1",
        "GET /api/v1/conversations/1/messages",
        "GET /api/v1/conversations/1/messages/m1/media",
        "GET /api/v1/messages/search",
        "POST /api/v1/conversations/1/messages",
        "POST /api/v1/conversations/1/handling",
        "GET /api/v1/conversations/1/handling",
        "GET /api/v1/conversations/1/notes",
        "POST /api/v1/conversations/1/notes",
        "PUT /api/v1/conversations/1/labels/l1",
        "DELETE /api/v1/conversations/1/labels/l1",
        "PUT /api/v1/conversations/1/assignment",
        "DELETE /api/v1/conversations/1/assignment",
        "GET /api/v1/alarms",
        "POST /api/v1/alarms/1/acknowledge",
        "GET /api/v1/outbox",
        "GET /api/v1/templates",
        "GET /api/v1/dead-letters",
        "POST /api/v1/dead-letters/1/redrive",
        "POST /api/v1/dead-letters/redrive",
        "POST /api/v1/plugins/reload",
        "GET /api/v1/receipts",
        "GET /api/v1/receipts/1",
        "GET /api/v1/contacts",
        "GET /api/v1/contacts/1/export",
        "DELETE /api/v1/contacts/1",
        "GET /api/v1/tokens",
        "POST /api/v1/tokens",
        "DELETE /api/v1/tokens/1",
        "GET /api/v1/numbers/1",
        "GET /api/v1/numbers/1/leaving",
        "GET /api/v1/doctor",
        "POST /api/v1/numbers",
        "POST /api/v1/numbers/1/sync",
        "GET /api/v1/connections",
        "GET /api/v1/businesses",
        "POST /api/v1/businesses",
        "DELETE /api/v1/businesses/1",
        "PUT /api/v1/businesses/1/access",
        "POST /api/v1/businesses/1/webhook",
        "PUT /api/v1/businesses/1/accounts/w1",
        "DELETE /api/v1/businesses/1/accounts/w1",
    ] {
        assert!(
            listed.iter().any(|found| found == route),
            "{route} is not described"
        );
    }
    assert_eq!(listed.len(), 68, "{listed:?}");

    let scopes = Scope::ALL.map(Scope::as_str);
    for (method, path, scope) in routes {
        let Some(scope) = scope else {
            assert!(!path.starts_with("/api/"), "{path} asks for no token");
            continue;
        };
        for wrong in [None, Some("wrong"), Some("duet_wrong")] {
            let (status, _) = fixture
                .call(wrong, method.clone(), &path, Value::Null)
                .await;
            assert_eq!(status, 401, "{method} {path} with {wrong:?}");
        }
        let others: Vec<_> = scopes.into_iter().filter(|other| *other != scope).collect();
        let token = fixture.token(&others).await;
        let (status, body) = fixture
            .call(Some(&token), method.clone(), &path, Value::Null)
            .await;
        assert_eq!(status, 403, "{method} {path} without {scope}");
        assert!(
            body["error"]["message"].as_str().unwrap().ends_with(&scope),
            "{body}"
        );
    }
    assert!(
        !fixture
            .notes
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|note| note.starts_with("erase"))
    );
}

#[tokio::test]
async fn a_revoked_or_expired_token_opens_nothing() {
    let fixture = Fixture::start().await;
    let token = fixture.token(&["read"]).await;
    let events = "/api/v1/events";
    assert_eq!(
        fixture
            .call(Some(&token), Method::GET, events, Value::Null)
            .await
            .0,
        200
    );
    fixture
        .database()
        .execute("UPDATE tokens SET expires_ms = 1", [])
        .unwrap();
    assert_eq!(
        fixture
            .call(Some(&token), Method::GET, events, Value::Null)
            .await
            .0,
        401
    );
    let token = fixture.token(&["read"]).await;
    let revoked = fixture
        .call(Some(ROOT), Method::DELETE, "/api/v1/tokens/2", Value::Null)
        .await;
    assert_eq!(revoked.0, 204);
    assert_eq!(
        fixture
            .call(Some(&token), Method::GET, events, Value::Null)
            .await
            .0,
        401
    );
    let file = std::fs::read(fixture.folder.path().join("duet.db-wal")).unwrap();
    assert!(
        !file
            .windows(token.len())
            .any(|bytes| bytes == token.as_bytes()),
        "the token's text is kept"
    );
}
