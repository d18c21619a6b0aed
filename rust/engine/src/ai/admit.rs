//! Who calls, which model they mean, and whether they may.

use std::borrow::Cow;

use tidegate_dialect::{
    ApiError, ErrorKind, Surface,
    headers::{Limit, write_limits},
};
use tidegate_limit::{Amounts, Exhausted, Metric};
use tidegate_message::Known;
use tidegate_plan as plan;

use super::{Desk, call::Call, errors, prepare::PreparedAi};
use crate::{
    exchange::Exchange,
    failure::{Cause, Failure},
};

/// Budgets forget what is held this long after a call can't run any more, in milliseconds.
const HELD_SLACK_MS: u64 = 10_000;
/// How long a call without a time-out of its own may hold what it reserved.
const HELD_MOST_MS: u64 = 3_600_000;

/// The key that the request bears; `Ok(None)` where none is needed. Every SDK tells it in a way of its own, so all are looked
/// at on every surface.
pub fn who(ai: &PreparedAi, exchange: &mut Exchange) -> Result<Option<u32>, Failure> {
    let Exchange { head, user, problem: room, client_ip, .. } = exchange;
    let secret = head
        .known(Known::Authorization)
        .and_then(tidegate_auth::bearer)
        .or_else(|| head.field(b"x-api-key"))
        .or_else(|| head.field(b"x-goog-api-key"))
        .or_else(|| head.field(b"api-key"))
        .or_else(|| head.known(Known::Authorization).and_then(tidegate_auth::aws_access_key))
        .or_else(|| tidegate_auth::query_parameter(head.slice(head.query), b"key", room));
    let Some(index) = secret.and_then(|secret| ai.key(secret)) else {
        return if ai.plan.open { Ok(None) } else { Err(Failure::client(Cause::Unauthorized)) };
    };
    let key = &ai.plan.keys[index as usize];
    if key.expires_ms.is_some_and(|expires| crate::unix_milliseconds() >= expires) {
        return Err(Failure::client(Cause::KeyExpired));
    }
    if let Some(access) = &ai.access[index as usize]
        && !access.admits(*client_ip)
    {
        return Err(Failure::client(Cause::AddressDenied));
    }
    if user.is_empty() {
        user.push_str(&key.name);
    }
    Ok(Some(index))
}

/// Reads the body and settles which model is meant. `Some`: the body of the prompt that was called takes its place.
pub fn read(
    desk: &Desk<'_>,
    exchange: &Exchange,
    call: &mut Call,
    body: &[u8],
) -> Result<Option<Vec<u8>>, ApiError> {
    let ai = desk.ai;
    let request_id = exchange.request_id();
    tags(desk, exchange, call);
    let rendered = match call.surface {
        Surface::Prompts => Some(super::prompt::render(desk, exchange, call, body)?),
        _ => None,
    };
    let body = rendered.as_deref().unwrap_or(body);
    call.read(body).map_err(|fault| errors::from_fault(&fault, request_id))?;
    if call.asked.is_empty() {
        // Files and batches name no model: the first that the key may ask says where they go.
        if !call.surface.is_modelless() {
            let mut error = ApiError::new(400, ErrorKind::InvalidRequest, "`model` is required.");
            error.param = Some("model".into());
            return Err(error);
        }
        let first = first_model(ai, call).ok_or_else(|| unknown_model(""))?;
        call.asked.push_str(&ai.plan.models[first as usize].name.replace('*', ""));
        call.model = first;
        call.is_settled = true;
        return permit(desk, call).map(|()| rendered);
    }
    let asked = std::mem::take(&mut call.asked);
    let named = ai.model(&asked);
    if let Some(named) = named {
        call.turn_to(ai, named);
    }
    let found = named.is_some();
    call.asked = asked;
    if !found {
        return Err(unknown_model(&call.asked));
    }
    permit(desk, call)?;
    rule(desk, exchange, call);
    let model = &ai.plan.models[call.model as usize];
    if model.prompt_bytes > 0 && body.len() as u64 > model.prompt_bytes {
        let text = format!(
            "The prompt is larger than the {} bytes that are taken for this model.",
            model.prompt_bytes
        );
        return Err(ApiError::new(413, ErrorKind::TooLarge, text));
    }
    Ok(rendered)
}

fn unknown_model(name: &str) -> ApiError {
    // A name may be long and is the client's own: enough of it to recognise.
    let shown: String = name.chars().filter(|letter| !letter.is_control()).take(80).collect();
    let mut error = ApiError::new(
        404,
        ErrorKind::NotFound,
        format!("The model `{shown}` does not exist here, or this key may not use it."),
    );
    error.code = Some("model_not_found".into());
    error.param = Some("model".into());
    error
}

/// Whether the key may use the surface and the model.
fn permit(desk: &Desk<'_>, call: &Call) -> Result<(), ApiError> {
    let Some(index) = call.key else { return Ok(()) };
    let key = &desk.ai.plan.keys[index as usize];
    if let Some(surfaces) = &key.surfaces
        && !surfaces.iter().any(|surface| surface == call.surface.as_str())
    {
        let text = format!("This key may not use the {} API.", call.surface.as_str());
        return Err(ApiError::new(403, ErrorKind::Permission, text));
    }
    match &key.models {
        Some(models) if !models.contains(&call.model) => Err(unknown_model(&call.asked)),
        _ => Ok(()),
    }
}

fn first_model(ai: &PreparedAi, call: &Call) -> Option<u32> {
    let key = call.key.map(|index| &ai.plan.keys[index as usize]);
    match key.and_then(|key| key.models.as_ref()) {
        Some(models) => models.first().copied(),
        None => (!ai.plan.models.is_empty()).then_some(0),
    }
}

/// Tags: the key's, and those that the client gives.
fn tags(desk: &Desk<'_>, exchange: &Exchange, call: &mut Call) {
    /// More tags, or longer ones, are a mistake.
    const TAGS_MOST: usize = 16;
    const TAG_BYTES: usize = 64;
    if let Some(index) = call.key {
        call.tags.clone_from(&desk.ai.plan.keys[index as usize].tags);
    }
    if let Some(told) = exchange.head.field(desk.ai.plan.tag_header.as_bytes()) {
        let told = String::from_utf8_lossy(told);
        let given = told.split(',').map(str::trim).filter(|tag| !tag.is_empty() && tag.len() <= TAG_BYTES);
        call.tags.extend(given.map(str::to_owned));
        call.tags.truncate(TAGS_MOST);
    }
}

/// The model's rules may send the call to another.
fn rule(desk: &Desk<'_>, exchange: &Exchange, call: &mut Call) {
    let model = &desk.ai.plan.models[call.model as usize];
    let rule = model.rules.iter().find(|rule| {
        let header = rule.header.as_ref().is_none_or(|(name, value)| {
            let told = exchange.head.field(name.as_bytes());
            told.is_some_and(|told| value.is_empty() || told == value.as_bytes())
        });
        header
            && rule.min_tokens.is_none_or(|least| call.input_estimate >= least)
            && rule.max_tokens.is_none_or(|most| call.input_estimate <= most)
            && rule.tag.as_ref().is_none_or(|tag| call.tags.contains(tag))
    });
    if let Some(rule) = rule {
        let star = call.star.clone();
        call.turn_to(desk.ai, super::prepare::Named { model: rule.model, star: &star });
    }
}

/// Counts a call that costs no tokens: another one's answer will do. Refused: as an error.
pub fn count(desk: &Desk<'_>, call: &mut Call) -> Result<(), ApiError> {
    let accounts: Vec<u32> = accounts(desk.ai, call).collect();
    let amounts = Amounts { requests: 1, input: 0, output: 0, usd: Some(0) };
    let now = crate::unix_milliseconds();
    match desk.ai.accounts.reserve(&accounts, &amounts, now, now + HELD_MOST_MS) {
        Ok(reservation) => {
            call.reservation = Some(reservation);
            Ok(())
        }
        Err(exhausted) => Err(exhausted_error(desk.ai, &exhausted, now)),
    }
}

/// Holds what the call is expected to take on all accounts that pay for it. Refused: which account, as an error.
pub fn reserve(desk: &Desk<'_>, call: &mut Call) -> Result<(), (Exhausted, ApiError)> {
    let ai = desk.ai;
    let accounts: Vec<u32> = accounts(ai, call).collect();
    let model = &ai.plan.models[call.model as usize];
    let usd = (model.targets.iter())
        .filter_map(|target| super::record::price_of(target, &call.star))
        .filter_map(|price| {
            tidegate_dialect::price::estimate_cost(price, call.input_estimate, call.expected_output)
        })
        .max();
    call.facts.reserved_usd = usd.unwrap_or(0);
    if accounts.is_empty() {
        return Ok(());
    }
    let amounts = Amounts { requests: 1, input: call.input_estimate, output: call.expected_output, usd };
    let now = crate::unix_milliseconds();
    let most = if model.total_ms > 0 { u64::from(model.total_ms) } else { HELD_MOST_MS };
    call.reservation = None;
    match ai.accounts.reserve(&accounts, &amounts, now, now + most + HELD_SLACK_MS) {
        Ok(reservation) => {
            call.reservation = Some(reservation);
            Ok(())
        }
        Err(exhausted) => {
            let error = exhausted_error(ai, &exhausted, now);
            Err((exhausted, error))
        }
    }
}

/// The accounts that a call is paid from.
pub fn accounts<'a>(ai: &'a PreparedAi, call: &'a Call) -> impl Iterator<Item = u32> + 'a {
    let own = match call.key {
        Some(index) => &ai.plan.keys[index as usize].accounts,
        None => &ai.plan.open_accounts,
    };
    let pays = move |index: &u32| {
        let account = &ai.plan.accounts[*index as usize];
        account.models.as_ref().is_none_or(|models| models.contains(&call.model))
            && account.tag.as_ref().is_none_or(|tag| call.tags.contains(tag))
    };
    own.iter().copied().filter(pays)
}

fn exhausted_error(ai: &PreparedAi, exhausted: &Exhausted, now: u64) -> ApiError {
    let account = &ai.plan.accounts[exhausted.account as usize];
    let wait = exhausted.resets_at_ms.map(|at| at.saturating_sub(now));
    // What does not fit an empty account never will: waiting does not help.
    let never = exhausted.asked > exhausted.limit;
    let (kind, code, what): (_, _, Cow<'_, str>) = match exhausted.metric {
        Metric::Usd => (ErrorKind::Quota, "budget_exceeded", "The budget is used up".into()),
        Metric::InFlight => {
            (ErrorKind::RateLimited, "too_many_in_flight", "Too many calls are under way".into())
        }
        Metric::Requests => (ErrorKind::RateLimited, "rate_limit_exceeded", "Too many requests".into()),
        _ => (ErrorKind::RateLimited, "rate_limit_exceeded", "Too many tokens".into()),
    };
    let text = if never {
        format!("{what}: this call alone may take more than is allowed ({}).", account.name)
    } else {
        format!("{what} ({}).", account.name)
    };
    // Budgets answer 429 too: SDKs take it for what it is, a limit, and `code` tells the two apart.
    let mut error = ApiError::new(429, kind, text);
    error.code = Some(code.into());
    error.retry_after_ms = if never { None } else { wait };
    error
}

/// Tells what is left of the limits on requests and tokens, in the client's words: of each sort the account that has least.
pub fn remaining(ai: &PreparedAi, call: &Call, fields: &mut Vec<u8>) {
    let now = crate::unix_milliseconds();
    let (mut requests, mut tokens) = (None::<Limit>, None::<Limit>);
    for index in accounts(ai, call) {
        let place = match ai.plan.accounts[index as usize].metric {
            plan::Metric::Requests => &mut requests,
            plan::Metric::Tokens | plan::Metric::InputTokens | plan::Metric::OutputTokens => &mut tokens,
            plan::Metric::Usd | plan::Metric::InFlight => continue,
        };
        let Some(view) = ai.accounts.view(index, now) else { continue };
        let told = Limit {
            limit: view.limit,
            remaining: view.limit.saturating_sub(view.spent).saturating_sub(view.reserved),
            reset_ms: view.resets_at_ms.map_or(0, |at| at.saturating_sub(now)),
        };
        if place.is_none_or(|kept| told.remaining < kept.remaining) {
            *place = Some(told);
        }
    }
    write_limits(call.dialect, requests.as_ref(), tokens.as_ref(), now / 1000, fields);
}
