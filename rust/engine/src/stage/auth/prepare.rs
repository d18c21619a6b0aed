//! Ways in made ready.

use tidegate_auth::ApiKeys;
use tidegate_plan::{self as plan, KeySource};

use super::{Auth, Method, basic::Basic, forward::Forward, jwt::Jwt, oidc::Oidc};
use crate::{key_sets::KeySets, prepare::PlanRejected};

impl Auth {
    /// Made ready; `path` is where the plan has it.
    pub fn new(auth: &plan::Auth, key_sets: &KeySets, path: &str) -> Result<Self, PlanRejected> {
        let methods = match auth {
            plan::Auth::Any(any) => (any.methods.iter().enumerate())
                .map(|(at, one)| Method::new(one, key_sets, &format!("{path}.methods[{at}]")))
                .collect::<Result<Vec<_>, _>>()?,
            one => vec![Method::new(one, key_sets, path)?],
        };
        let cookies = (methods.iter().flat_map(Method::sources))
            .filter_map(|(source, strip)| match source {
                KeySource::Cookie { name } if strip => Some(name.clone()),
                _ => None,
            })
            .chain(methods.iter().flat_map(|method| match method {
                Method::Oidc(oidc) => oidc.cookies(),
                _ => Vec::new(),
            }))
            .collect();
        Ok(Self { methods, cookies })
    }
}

impl Method {
    fn new(auth: &plan::Auth, key_sets: &KeySets, path: &str) -> Result<Self, PlanRejected> {
        let hash = |hex: &str, part: String| {
            tidegate_auth::sha256_hex(hex).ok_or_else(|| PlanRejected {
                path: format!("{path}.{part}"),
                why: "is no SHA-256 in hexadecimal".into(),
            })
        };
        Ok(match auth {
            plan::Auth::ApiKeys(config) => {
                let keys = (config.keys.iter().enumerate())
                    .map(|(index, key)| {
                        Ok((key.name.clone(), hash(&key.sha256, format!("keys[{index}].sha256"))?))
                    })
                    .collect::<Result<Vec<_>, PlanRejected>>()?;
                Self::Keys { keys: ApiKeys::new(keys), source: config.source.clone(), strip: config.strip }
            }
            plan::Auth::Basic(config) => Self::Basic(Basic::new(config, path)?),
            plan::Auth::Jwt(config) => Self::Jwt(Box::new(Jwt::new(config, key_sets, path)?)),
            plan::Auth::Forward(config) => Self::Forward(Box::new(Forward::new(config))),
            plan::Auth::Oidc(config) => Self::Oidc(Box::new(Oidc::new(config, path)?)),
            plan::Auth::Any(_) => {
                return Err(PlanRejected { path: path.into(), why: "is `any` within `any`".into() });
            }
        })
    }
}
