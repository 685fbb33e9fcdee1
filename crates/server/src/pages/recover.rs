//! `/recover`: the page of a mailed recovery link, where a new password is set. Works without
//! scripts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use tolmach_domain::{Authority, Command, Fault, Secret};
use tolmach_engine::{Engine, Submission};

const PAGE: &str = include_str!("recover.html");
const STYLE: &str = include_str!("recover.css");

/// The content security policy: the page may do nothing but show itself and send its form back. Its
/// one style is allowed by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
});

/// True if the body of a request is read: that of a form.
pub(crate) fn reads_body(head: &Parts) -> bool {
    head.method == Method::POST && is_form(&head.headers)
}

/// Shows the form (GET, with `token` in the address) or sets the password (POST, form-encoded:
/// `token`, `password`, `repeat`).
pub(crate) async fn recover(engine: &Engine, request: Request<Bytes>) -> Response<Bytes> {
    match *request.method() {
        Method::GET | Method::HEAD => {
            show_form(engine, request.uri().query().unwrap_or_default()).await
        }
        Method::POST if is_form(request.headers()) => set_password(engine, request.body()).await,
        Method::POST => {
            problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This page takes only its own form.")
        }
        _ => {
            let mut response = problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "This page can be read, and its form can be sent.",
            );
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            response
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

async fn show_form(engine: &Engine, query: &str) -> Response<Bytes> {
    let Some(token) = field(query.as_bytes(), "token").filter(|token| is_token(token)) else {
        return spent();
    };
    match engine.is_recovery_token_valid(&Secret::new(&token)).await {
        Ok(true) => form(StatusCode::OK, &token, None),
        Ok(false) => spent(),
        Err(fault) => rejected(&token, fault),
    }
}

async fn set_password(engine: &Engine, body: &[u8]) -> Response<Bytes> {
    let Some(token) = field(body, "token").filter(|token| is_token(token)) else { return spent() };
    let password = field(body, "password").unwrap_or_default();
    if password != field(body, "repeat").unwrap_or_default() {
        return form(
            StatusCode::UNPROCESSABLE_ENTITY,
            &token,
            Some("The two passwords differ. Please type the same one twice."),
        );
    }
    let command =
        Command::ResetPassword { token: Secret::new(&token), password: Secret::new(password) };
    match engine.execute(submission(command)).await.outcome {
        Ok(_) => page(
            StatusCode::OK,
            "Password changed",
            "<p>Your new password is set, and every device was logged out. \
             Log in again with the new password.</p>",
        ),
        Err(fault) => rejected(&token, fault),
    }
}

/// A command of a caller without credentials.
fn submission(command: Command) -> Submission {
    Submission { caller: None, authority: Authority::Member, origin: None, address: None, command }
}

fn rejected(token: &str, fault: Fault) -> Response<Bytes> {
    match fault {
        Fault::Invalid { field: "password", reason } => {
            form(StatusCode::UNPROCESSABLE_ENTITY, token, Some(&format!("The password {reason}.")))
        }
        Fault::Unauthenticated => spent(),
        Fault::TooMany { retry_after } => {
            let text = "Many people are changing their passwords right now. \
                        Please send the form again in a moment.";
            let mut response = form(StatusCode::TOO_MANY_REQUESTS, token, Some(text));
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
            response
        }
        Fault::Unavailable => form(
            StatusCode::SERVICE_UNAVAILABLE,
            token,
            Some("The service is resting for a moment. Please send the form again soon."),
        ),
        _ => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on our side. Please try again later.",
        ),
    }
}

/// The page for a link that was never given out, was used, or is too old, without the reason.
fn spent() -> Response<Bytes> {
    problem(
        StatusCode::GONE,
        "This link was used before, is too old, or is not complete. \
         Please ask for a new one in your client.",
    )
}

fn problem(status: StatusCode, text: &str) -> Response<Bytes> {
    page(status, "This did not work", &format!("<p role=\"alert\">{}</p>", escape(text)))
}

fn form(status: StatusCode, token: &str, problem: Option<&str>) -> Response<Bytes> {
    let (alert, described) = match problem {
        Some(problem) => (
            format!("<p role=\"alert\" id=\"problem\">{}</p>\n", escape(problem)),
            " aria-describedby=\"problem\" aria-invalid=\"true\"",
        ),
        None => (String::new(), ""),
    };
    let content = format!(
        "{alert}<form method=\"post\" action=\"recover\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <label for=\"password\">New password</label>\n\
         <input type=\"password\" id=\"password\" name=\"password\" \
         autocomplete=\"new-password\" required autofocus{described}>\n\
         <label for=\"repeat\">The same password again</label>\n\
         <input type=\"password\" id=\"repeat\" name=\"repeat\" \
         autocomplete=\"new-password\" required>\n\
         <button>Set the password</button>\n\
         </form>",
        token = escape(token),
    );
    page(status, "Choose a new password", &content)
}

/// A whole page. `content` is HTML, `title` is text.
fn page(status: StatusCode, title: &str, content: &str) -> Response<Bytes> {
    // The content comes last, because it may contain what looks like a placeholder.
    let html = PAGE.replace("{style}", STYLE).replace("{title}", &escape(title)).replacen(
        "{content}",
        content,
        1,
    );
    let mut response = Response::new(Bytes::from(html));
    *response.status_mut() = status;
    const CROSS_ORIGIN: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CROSS_ORIGIN, HeaderValue::from_static("same-origin"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(&POLICY));
    response
}

/// The first value of a form's field.
fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// True if the text has the form of a token: 64 hexadecimal digits.
fn is_token(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tolmach_domain::{GrantKind, RecoveryIdentifier, Registration, Timestamp};
    use tolmach_engine::memory::{
        ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords,
        PlainSigner, SeededEntropy,
    };
    use tolmach_engine::{Policy, Ports};

    struct Fixture {
        engine: Engine,
        clock: Arc<ManualClock>,
        token: String,
    }

    /// An engine with one account whose recovery link was just mailed.
    async fn fixture() -> Fixture {
        let bus = Arc::new(MemoryBus::new());
        let mailer = Arc::new(MemoryMailer::new());
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_700_000_000_000_000)));
        let ports = Ports {
            store: Arc::new(MemoryStore::new(bus.clone())),
            bus,
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
            mailer: mailer.clone(),
            blobs: Arc::new(MemoryBlobs::new()),
            passwords: Arc::new(PlainPasswords),
            signer: Arc::new(PlainSigner),
        };
        let engine = Engine::new(ports, Policy { min_password_bytes: 8, ..Policy::default() });
        let registration = Registration {
            login: Some("anna".into()),
            password: Secret::new("the old password"),
            username: None,
            email: Some("anna@example.org".into()),
            phone: None,
            bot: false,
            bio: None,
            avatar: None,
            profile: true,
            grant: GrantKind::Nothing,
        };
        engine.create_account(registration, engine.now()).await.unwrap();
        let command = Command::Recover { identifier: RecoveryIdentifier::Login("anna".into()) };
        let handled = engine.execute(submission(command)).await;
        handled.deferred.unwrap().await;
        let mails = mailer.take();
        let token = mails[0].body.split_once("/recover?token=").unwrap().1[..64].to_owned();
        Fixture { engine, clock, token }
    }

    impl Fixture {
        async fn request(
            &self,
            method: &str,
            query: &str,
            kind: &str,
            body: &str,
        ) -> (Response<Bytes>, String) {
            let request = Request::builder()
                .method(method)
                .uri(format!("/recover?{query}"))
                .header(CONTENT_TYPE, kind);
            let response = recover(
                &self.engine,
                request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap(),
            )
            .await;
            let text = String::from_utf8(response.body().to_vec()).unwrap();
            (response, text)
        }

        async fn get(&self, query: &str) -> (u16, String) {
            let (response, text) = self.request("GET", query, "", "").await;
            (response.status().as_u16(), text)
        }

        async fn post(&self, body: &str) -> (u16, String) {
            let (response, text) =
                self.request("POST", "", "application/x-www-form-urlencoded", body).await;
            (response.status().as_u16(), text)
        }

        async fn logs_in(&self, password: &str) -> bool {
            let command = Command::Login {
                identifier: "anna".into(),
                password: Secret::new(password),
                grant: GrantKind::Nothing,
            };
            self.engine.execute(submission(command)).await.outcome.is_ok()
        }
    }

    #[tokio::test]
    async fn a_link_sets_a_password_once() {
        let fixture = fixture().await;
        let (status, text) = fixture.get(&format!("token={}", fixture.token)).await;
        assert_eq!(status, 200);
        assert!(text.contains(&format!("name=\"token\" value=\"{}\"", fixture.token)), "{text}");
        let form = format!("token={}&password=new+pass%C3%A9&repeat=new+pass%C3%A9", fixture.token);
        assert_eq!(fixture.post(&form).await.0, 200);
        assert!(fixture.logs_in("new passé").await && !fixture.logs_in("the old password").await);
        assert_eq!(fixture.post(&form).await.0, 410);
        assert_eq!(fixture.get(&format!("token={}", fixture.token)).await.0, 410);
    }

    #[tokio::test]
    async fn a_form_that_is_rejected_changes_nothing_and_names_the_reason() {
        let fixture = fixture().await;
        let (token, unknown) = (fixture.token.as_str(), "0".repeat(64));
        for (form, status, reason) in [
            (format!("token={token}&password=longenough&repeat=longenougH"), 422, "differ"),
            (format!("token={token}&password=longenough"), 422, "differ"),
            (
                format!("token={token}&password=short&repeat=short"),
                422,
                "must have 8 to 1024 bytes",
            ),
            (format!("token={token}"), 422, "must have 8 to 1024 bytes"),
            (format!("token={unknown}&password=longenough&repeat=longenough"), 410, "used before"),
            ("password=longenough&repeat=longenough".to_owned(), 410, "used before"),
            ("token=%FF%00&password=longenough&repeat=longenough".to_owned(), 410, "used before"),
        ] {
            let (found, text) = fixture.post(&form).await;
            assert!(found == status && text.contains(reason), "{form}: {found} {text}");
            assert!(fixture.logs_in("the old password").await, "{form}");
        }
        assert_eq!(fixture.get(&format!("token={token}")).await.0, 200, "the link still works");
        fixture.clock.advance(Policy::default().recovery_lifetime);
        assert_eq!(fixture.get(&format!("token={token}")).await.0, 410);
    }

    #[tokio::test]
    async fn input_is_never_shown_as_html() {
        let fixture = fixture().await;
        let attack = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E{content}";
        let good = &fixture.token;
        for (_, text) in [
            fixture.get(&format!("token={attack}")).await,
            fixture.get(&format!("token={good}&password={attack}")).await,
            fixture.post(&format!("token={attack}&password={attack}&repeat={attack}")).await,
            fixture.post(&format!("token={good}&password={attack}&repeat=x")).await,
        ] {
            assert!(!text.contains("script") && !text.contains("{content}"), "{text}");
        }
        assert_eq!(
            escape("<a href='x' title=\"&\">"),
            "&lt;a href=&#39;x&#39; title=&quot;&amp;&quot;&gt;"
        );
    }

    #[tokio::test]
    async fn every_response_forbids_caches_scripts_and_frames() {
        let fixture = fixture().await;
        for (method, kind, status) in [
            ("GET", "", 410),
            ("HEAD", "", 410),
            ("POST", "application/x-www-form-urlencoded; charset=utf-8", 410),
            ("POST", "application/json", 415),
            ("POST", "", 415),
            ("PUT", "", 405),
        ] {
            let (response, text) = fixture.request(method, "", kind, "").await;
            assert_eq!(response.status().as_u16(), status, "{method} {kind}");
            let header = |name: HeaderName| {
                response
                    .headers()
                    .get(&name)
                    .map(|value| value.to_str().unwrap().to_owned())
                    .unwrap_or_default()
            };
            assert_eq!(header(CACHE_CONTROL), "no-store");
            assert_eq!(header(REFERRER_POLICY), "no-referrer");
            assert_eq!(header(X_CONTENT_TYPE_OPTIONS), "nosniff");
            assert_eq!(header(ALLOW).is_empty(), status != 405);
            let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
            let hash = STANDARD.encode(Sha256::digest(style));
            let policy = header(CONTENT_SECURITY_POLICY);
            assert!(
                policy.starts_with("default-src 'none'; ")
                    && policy.contains(&hash)
                    && !policy.contains("unsafe"),
                "{policy}"
            );
            assert!(text.contains("<html lang=\"en\">") && text.contains("<h1>"), "{text}");
        }
    }

    #[tokio::test]
    async fn every_field_has_a_label() {
        let fixture = fixture().await;
        let (_, text) = fixture.post(&format!("token={}&password=a&repeat=b", fixture.token)).await;
        for name in ["password", "repeat"] {
            assert!(
                text.contains(&format!("<label for=\"{name}\">"))
                    && text.contains(&format!("id=\"{name}\"")),
                "{text}"
            );
        }
        assert!(
            text.contains("aria-describedby=\"problem\"")
                && text.contains("role=\"alert\" id=\"problem\""),
            "{text}"
        );
    }
}
