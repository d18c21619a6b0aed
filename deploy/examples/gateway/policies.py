"""Policies of the example gateway: what a hook can see, and the four things that it may say."""

import json

import tidegate


def tenant(request: tidegate.Request) -> tidegate.Decision | None:
    """Refuses callers outside their own folder and sends those who ask for it to the beta upstream."""
    wanted = request.path.removeprefix("/orders/").split("/", 1)[0]
    if wanted != request.user:
        return tidegate.refuse(403, f"{request.user} may only see /orders/{request.user}/")
    if request.headers.get("X-Channel") == "beta":
        return tidegate.modify(set_headers={"X-Tenant": wanted}, upstream="beta")
    return tidegate.modify(set_headers={"X-Tenant": wanted}, remove_headers=["X-Debug"])


async def only_json(request: tidegate.Request) -> tidegate.Decision | None:
    """Lets JSON objects pass and nothing else; the body is here because the route asks for it."""
    try:
        content = json.loads(request.body or b"")
    except ValueError as error:
        return tidegate.refuse(400, f"the body is no JSON: {error}")
    if not isinstance(content, dict):
        return tidegate.refuse(422, "the body must be a JSON object")
    return None


async def whoami(request: tidegate.Request) -> tidegate.Decision:
    """Answers by itself: the route has no upstream."""
    return tidegate.answer(200, {"client": request.client_ip, "request_id": request.request_id})
