"""Which container a cgroup names: the paths that runtimes make, and those that others make."""

from __future__ import annotations

import pytest

from procpath.cgroups import Claim, claim_of

ID = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
POD_ID = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
UID = "2fc932ce-fdcc-454b-97bd-aadfdeb4c340"
UID_ = UID.replace("-", "_")
STATIC = "36b6d6be73b1065af369b3985edafa09"
BURSTABLE = f"kubepods-burstable-pod{UID_}.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"

# path, ID, runtime, UID of the pod
PATHS: list[tuple[str, str | None, str | None, str | None]] = [
    # Docker: cgroupfs, systemd, rootless, in a slice of its own, a build
    (f"/docker/{ID}", ID, "docker", None),
    (f"/system.slice/docker-{ID}.scope", ID, "docker", None),
    (f"{USER}/user.slice/docker-{ID}.scope", ID, "docker", None),
    (f"/ecstasks.slice/ecstasks-{STATIC}.slice/docker-{ID}.scope", ID, "docker", None),
    (f"/ecs/{STATIC}/{ID}", ID, None, None),
    ("/docker/buildkit/x4mf7tn2kdzsoiuyqc7zuwfzk", None, "docker", None),
    # containerd by nerdctl
    (f"/system.slice/nerdctl-{ID}.scope", ID, "containerd", None),
    (f"/default/{ID}", ID, None, None),
    # podman: systemd, with the cgroup that cgroup v2 adds, in a pod, rootless, split, cgroupfs
    (f"/machine.slice/libpod-{ID}.scope", ID, "podman", None),
    (f"/machine.slice/libpod-{ID}.scope/container", ID, "podman", None),
    (
        f"/machine.slice/machine-libpod_pod_{POD_ID}.slice/libpod-{ID}.scope/container",
        *(ID, "podman", None),
    ),
    (f"{USER}/user.slice/libpod-{ID}.scope/container", ID, "podman", None),
    (f"/system.slice/web.service/libpod-payload-{ID}", ID, "podman", None),
    (f"/libpod_parent/libpod-{ID}", ID, "podman", None),
    (f"/libpod_parent/{POD_ID}/libpod-{ID}", ID, "podman", None),
    # Kubernetes: systemd, each runtime and class
    (f"/kubepods.slice/{BURSTABLE}/cri-containerd-{ID}.scope", ID, "containerd", UID),
    (
        f"/kubepods.slice/kubepods-burstable.slice/{BURSTABLE}/crio-{ID}.scope",
        *(ID, "cri-o", UID),
    ),
    (f"/kubepods.slice/kubepods-pod{UID_}.slice/docker-{ID}.scope", ID, "docker", UID),
    (
        f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UID_}.slice/crio-{ID}.scope",
        *(ID, "cri-o", UID),
    ),
    # Kubernetes: cgroupfs, where only cri-o adds its name; a static pod
    (f"/kubepods/burstable/pod{UID}/{ID}", ID, None, UID),
    (f"/kubepods/pod{UID}/crio-{ID}", ID, "cri-o", UID),
    (f"/kubepods/besteffort/pod{STATIC}/{ID}", ID, None, STATIC),
    # Kubernetes: a kubelet with systemd over a containerd without (kubernetes #106514)
    (
        f"/system.slice/containerd.service/kubepods-burstable-pod{STATIC}.slice:cri-containerd:{ID}",
        *(ID, "containerd", STATIC),
    ),
    (f"/{BURSTABLE}:crio:{ID}", ID, "cri-o", UID),
    # LXC: 1 to 3.0, Proxmox, 3.1, 4.0, LXD
    ("/lxc/web", "web", "lxc", None),
    ("/lxc/101/ns/init.scope", "101", "lxc", None),
    ("/lxc.payload/web", "web", "lxc", None),
    ("/lxc.payload.web/system.slice/cron.service", "web", "lxc", None),
    ("/lxc.payload.project_web", "project_web", "lxc", None),
    # systemd-nspawn: by itself and as a unit
    ("/machine.slice/machine-deb.scope/payload", "deb", "systemd-nspawn", None),
    ("/machine.slice/machine-a\\x2db.scope/payload/init.scope", "a-b", "systemd-nspawn", None),
    ("/machine.slice/systemd-nspawn@deb.service/payload", "deb", "systemd-nspawn", None),
    # As another cgroup namespace sees it
    (f"/../../system.slice/docker-{ID}.scope", ID, "docker", None),
    # Nested: the outermost decides
    (f"/docker/{ID}/docker/{POD_ID}", ID, "docker", None),
    (f"/kubepods/pod{UID}/{ID}/kubepods/pod{STATIC}/crio-{POD_ID}", ID, None, UID),
    (f"/lxc.payload.web/docker/{ID}", "web", "lxc", None),
    (f"/docker/buildkit/{ID}", None, "docker", None),
    (f"/system.slice/docker-{ID}.scope/lxc.payload.web", ID, "docker", None),
    # None
    ("/", None, None, None),
    ("", None, None, None),
    ("/init.scope", None, None, None),
    ("/system.slice/docker.service", None, None, None),
    ("/system.slice/containerd.service", None, None, None),
    (f"/machine.slice/libpod-conmon-{ID}.scope", None, None, None),
    (f"/kubepods.slice/crio-conmon-{ID}.scope", None, None, None),
    ("/lxc.monitor.web", None, None, None),
    ("/lxc.monitor/web", None, None, None),
    ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", None, None, None),
    (f"/system.slice/docker-{ID.upper()}.scope", None, None, None),
    (f"/system.slice/docker-{ID}0.scope", None, None, None),
    (f"/docker-{ID[:-1]}.scope", None, None, None),
    (f"/system.slice/docker-{ID}.scope (deleted)", None, None, None),
]


@pytest.mark.parametrize(("path", "number", "runtime", "uid"), PATHS, ids=[row[0] for row in PATHS])
def test_a_path_names_its_container(
    path: str, number: str | None, runtime: str | None, uid: str | None
) -> None:
    unified = claim_of(f"0::{path}\n".encode())
    assert unified[:3] == (number, runtime, uid)
    # Version 1, in all hierarchies or in some
    names = ("12:pids", "5:cpu,cpuacct", "1:name=systemd")
    legacy = "".join(f"{name}:{path}\n" for name in names)
    assert claim_of(f"{legacy}0::/\n".encode()) == unified


@pytest.mark.parametrize("line", ["1:name=a:b", "0::", "::", "", "x", "\r0::", "0:"])
def test_only_lines_of_the_kernels_form_claim(line: str) -> None:
    assert claim_of(line.encode()) == Claim()


def test_a_carriage_return_ends_no_line() -> None:
    assert claim_of(f"0::/a\r0::/docker/{ID}\n".encode()).id == ID
    assert claim_of(f"0::/docker/x\r0::/docker/{ID}\n".encode()) == Claim(
        None, "docker", None, (b"/docker/x\r0::",)
    )


def test_contradicting_hierarchies_claim_nothing() -> None:
    text = f"2:cpu:/docker/{ID}\n1:name=systemd:/system.slice/docker-{POD_ID}.scope\n"
    assert claim_of(text.encode()) == Claim()


def test_one_container_may_have_two_paths() -> None:
    # kubernetes #36807
    pod = f"BestEffort-pod{UID_}.slice"
    text = f"2:cpu:/system.slice/docker.service/{pod}/{ID}\n1:freezer:/{pod}/{ID}\n"
    assert claim_of(text.encode()) == Claim(
        *(ID, None, UID),
        (
            f"/BestEffort-pod{UID_}.slice/{ID}".encode(),
            f"/system.slice/docker.service/{pod}/{ID}".encode(),
        ),
    )


def test_a_name_that_is_not_text_survives() -> None:
    assert claim_of(b"0::/lxc/\xff\x1b[31m\n").id == "\udcff\x1b[31m"
