"""Which container a process is in, by its cgroup: a claim, not a proof.

A runtime puts the ID into the name of the cgroup that it makes for a container. Whoever has been
given a cgroup of his own can make one of the same name below it, so the outermost component that
names a container decides: what a container adds comes after its own.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple


class Claim(NamedTuple):
    """What the cgroups of a process say about its container."""

    id: str | None = None
    runtime: str | None = None
    pod_uid: str | None = None
    cgroups: tuple[bytes, ...] = ()
    """the container's cgroup in each hierarchy that names it, without what is below"""


# /docker/ID, /system.slice/docker-ID.scope, …-podUID.slice/cri-containerd-ID.scope,
# …/crio-ID.scope, /machine.slice/libpod-ID.scope, /libpod_parent/libpod-ID (podman without
# systemd), …/NAME.service/libpod-payload-ID (--cgroups=split), and
# /kubepods-burstable-podUID.slice:cri-containerd:ID (a kubelet with the systemd driver over a
# containerd without, kubernetes #106514).
_PREFIXED = re.compile(
    rb"(?:.*:)?(docker|cri-containerd|nerdctl|crio|libpod|libpod-payload)[-:]"
    rb"([0-9a-f]{64})(?:\.scope)?"
)
_BARE = re.compile(rb"[0-9a-f]{64}")
_RUNTIMES = {
    b"docker": "docker",
    b"cri-containerd": "containerd",
    b"nerdctl": "containerd",
    b"crio": "cri-o",
    b"libpod": "podman",
    b"libpod-payload": "podman",
}

# /kubepods/burstable/podUID, /kubepods.slice/…/kubepods-burstable-podUID.slice with underscores;
# the UID of a static pod is a hash without either.
_POD = re.compile(
    rb"(?:.*-)?pod([0-9a-f]{32}|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?(?::.*)?"
)

# /lxc/NAME, /lxc.payload/NAME (3.1), /lxc.payload.NAME (4.0); lxc.monitor is outside of it.
_LXC_PARENTS = (b"lxc", b"lxc.payload")
_LXC = re.compile(rb"lxc\.payload\.(.+)")

# Others register with systemd-machined too: libvirt as machine-qemu\x2d… and machine-lxc\x2d….
_NSPAWN = re.compile(
    rb"machine-(?!qemu\\x2d|lxc\\x2d)([^/]+)\.scope|systemd-nspawn@([^/]+)\.service"
)
_UNIT_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def claim_of(cgroups: bytes) -> Claim:
    """Return what a ``/proc/PID/cgroup`` claims (cgroups(7)).

    Hierarchies that name different containers contradict each other, and nothing is claimed.
    """
    # Most often the same path in all hierarchies.
    paths = {line.partition(b":")[2].partition(b":")[2] for line in cgroups.split(b"\n")}
    claims = [claim for claim in map(_claim_of_path, paths) if claim is not None]
    if len({claim.id for claim in claims}) != 1:
        return Claim()
    # Docker without systemd once was in a cgroup without its name in some hierarchies.
    runtimes = {claim.runtime for claim in claims} - {None}
    pods = {claim.pod_uid for claim in claims} - {None}
    return Claim(
        claims[0].id,
        runtimes.pop() if len(runtimes) == 1 else None,
        pods.pop() if len(pods) == 1 else None,
        tuple(sorted({cgroup for claim in claims for cgroup in claim.cgroups})),
    )


def _claim_of_path(path: bytes) -> Claim | None:
    components = path.split(b"/")
    above, pod_uid = b"", None
    for number, component in enumerate(components):
        if pod_uid is None and (pod := _POD.fullmatch(component)):
            pod_uid = pod[1].decode().replace("_", "-")
        named = _named(above, component)
        if named is not None:
            cgroup = b"/".join(components[: number + 1])
            return Claim(named[0], named[1], pod_uid, (cgroup,))
        above = component
    return None


def _named(above: bytes, component: bytes) -> tuple[str | None, str | None] | None:
    """Return ID and runtime that a component of a cgroup path names, or None."""
    if prefixed := _PREFIXED.fullmatch(component):
        return prefixed[2].decode(), _RUNTIMES[prefixed[1]]
    if above == b"docker":
        # What Docker runs besides containers, such as builds, has other names.
        return component.decode() if _BARE.fullmatch(component) else None, "docker"
    if above in _LXC_PARENTS and component:
        return os.fsdecode(component), "lxc"
    if payload := _LXC.fullmatch(component):
        return os.fsdecode(payload[1]), "lxc"
    if machine := _NSPAWN.fullmatch(component):
        name = _UNIT_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), machine[1] or machine[2])
        return os.fsdecode(name), "systemd-nspawn"
    # Above podman's it is a pod.
    if above != b"libpod_parent" and _BARE.fullmatch(component):
        return component.decode(), None
    return None
