use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Fault;
use super::form::{self, Form};
use super::server::{Call, Shared, State};
use crate::{Operation, PalmType, PalmTypes, Refusal};

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed as asked")]
pub(super) struct Closed;

/// Answers one request, with the fault that waits for it, if any.
pub(super) async fn answer(
    shared: Shared,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Closed> {
    let (call, form) = match read(request).await {
        Ok(read) => read,
        Err(refused) => return Ok(refused),
    };
    let operation = call.operation;
    let fault = {
        let mut state = shared.lock();
        state.remember(call);
        state.take_fault(operation)
    };
    if let Some(Fault::Slow(delay)) = fault {
        return carry_out_later(shared, delay, operation, form).await;
    }
    let carried_out = fault
        .as_ref()
        .is_none_or(Fault::carries_out)
        .then(|| carry_out(&mut shared.lock(), operation, form));
    let mut body = match carried_out {
        Some(Err(why)) => return Ok(bad_request(&why)),
        Some(Ok(result)) => envelope(result),
        None => Value::Null,
    };
    let Some(fault) = fault else {
        return Ok(json_answer(&body));
    };
    fault.falsify(&mut body);
    match fault {
        Fault::Scores(_) | Fault::Thresholds(_) | Fault::User(_) => Ok(json_answer(&body)),
        Fault::Code(code) => Ok(json_answer(&json!({"code": code, "msg": "injected"}))),
        Fault::Answer { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(text_answer(status, body))
        }
        Fault::Late(delay) => {
            tokio::time::sleep(delay).await;
            Ok(json_answer(&body))
        }
        Fault::Slow(_) | Fault::Silence { .. } => {
            match std::future::pending::<Infallible>().await {}
        }
        Fault::Close { .. } => Err(Closed),
        Fault::CutAnswer => Ok(with_type("application/json", Answer::cut(body.to_string()))),
    }
}

/// Carries a call out in a task of its own, which its caller's leaving does not end.
async fn carry_out_later(
    shared: Shared,
    delay: Duration,
    operation: Operation,
    form: Form,
) -> Result<Response<Answer>, Closed> {
    let work = async move {
        tokio::time::sleep(delay).await;
        match carry_out(&mut shared.lock(), operation, form) {
            Ok(result) => json_answer(&envelope(result)),
            Err(why) => bad_request(&why),
        }
    };
    tokio::spawn(work).await.map_err(|_| Closed)
}

/// Reads a request, or says why not.
async fn read(request: Request<Incoming>) -> Result<(Call, Form), Response<Answer>> {
    let operation = match request.uri().path() {
        "/KZ/query" => Operation::Query,
        "/KZ/add" => Operation::Add,
        "/KZ/delete" => Operation::Delete,
        _ => {
            return Err(text_answer(
                StatusCode::NOT_FOUND,
                "no such path".to_owned(),
            ));
        }
    };
    if request.method() != Method::POST {
        let why = "POST only".to_owned();
        return Err(text_answer(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let request_id = header("request_id").to_owned();
    if Uuid::try_parse(&request_id).is_err() {
        return Err(bad_request("the header request_id is no UUID"));
    }
    let content_type = header("content-type").to_owned();
    let form = form::read(operation, &content_type, request.into_body())
        .await
        .map_err(|why| bad_request(&why))?;
    let call = Call {
        operation,
        request_id,
        metadata: form.metadata.clone(),
        parts: form.parts.clone(),
    };
    Ok((call, form))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryMetadata {
    r#type: PalmType,
    is_encrypted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddMetadata {
    user_id: String,
    r#type: PalmType,
    is_encrypted: bool,
    #[serde(default)]
    query_type: Option<PalmTypes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteMetadata {
    user_id: String,
    r#type: PalmTypes,
}

/// Carries a call out: `data` or the refusal, or what is wrong with the metadata.
fn carry_out(
    state: &mut State,
    operation: Operation,
    form: Form,
) -> Result<Result<Value, Refusal>, String> {
    let wrong = |error: serde_json::Error| format!("metadata: {error}");
    let plain = |is_encrypted: bool| {
        if is_encrypted {
            Err("encrypted samples are not simulated".to_owned())
        } else {
            Ok(())
        }
    };
    let templates = &mut state.templates;
    match (operation, form.palm) {
        (Operation::Query, Some(palm)) => {
            let asked: QueryMetadata = serde_json::from_value(form.metadata).map_err(wrong)?;
            plain(asked.is_encrypted)?;
            Ok(templates.query(&palm, asked.r#type))
        }
        (Operation::Add, Some(palm)) => {
            let asked: AddMetadata = serde_json::from_value(form.metadata).map_err(wrong)?;
            plain(asked.is_encrypted)?;
            Ok(templates.add(palm, &asked.user_id, asked.r#type, asked.query_type))
        }
        (Operation::Delete, _) => {
            let asked: DeleteMetadata = serde_json::from_value(form.metadata).map_err(wrong)?;
            Ok(Ok(templates.delete(&asked.user_id, asked.r#type)))
        }
        (Operation::Query | Operation::Add, None) => Err("there is no sample".to_owned()),
    }
}

fn envelope(result: Result<Value, Refusal>) -> Value {
    match result {
        Ok(data) => json!({"code": 0, "msg": "Success", "data": data}),
        Err(refusal) => json!({"code": refusal.code(), "msg": refusal.to_string()}),
    }
}

fn json_answer(body: &Value) -> Response<Answer> {
    with_type("application/json", Answer::whole(body.to_string()))
}

fn bad_request(why: &str) -> Response<Answer> {
    text_answer(StatusCode::BAD_REQUEST, why.to_owned())
}

fn text_answer(status: StatusCode, text: String) -> Response<Answer> {
    let mut response = with_type("text/plain; charset=utf-8", Answer::whole(text));
    *response.status_mut() = status;
    response
}

fn with_type(content_type: &'static str, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A body that may end before the length that it announced.
pub(super) struct Answer {
    rest: Option<Bytes>,
    announced: u64,
    cut: bool,
}

impl Answer {
    fn whole(text: String) -> Self {
        let bytes = Bytes::from(text);
        Self {
            announced: bytes.len() as u64,
            rest: Some(bytes),
            cut: false,
        }
    }

    fn cut(text: String) -> Self {
        let mut whole = Self::whole(text);
        if let Some(bytes) = &mut whole.rest {
            bytes.truncate(bytes.len() / 2);
        }
        Self { cut: true, ..whole }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        Poll::Ready(match self.rest.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.cut => Some(Err(Closed)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
