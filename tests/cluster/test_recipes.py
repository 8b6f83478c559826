"""The recipes of cluster/recipes/: what can be known of them without a cloud, a container or a cluster."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml  # type: ignore[import-untyped]

from hpo.cli.flags import parse_spec

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "cluster" / "recipes"
NAMES = sorted(path.name for path in RECIPES.iterdir())
LAUNCHERS = ["aws.yaml", "ssh.yaml"]
MANIFESTS = ["raycluster.yaml", "rayjob.yaml"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}


def header(name: str) -> list[str]:
    """The lines of the comment that a recipe begins with."""
    lines = []
    for line in (RECIPES / name).read_text().splitlines():
        if line.startswith("#!"):
            continue
        if not line.startswith("#") or line.startswith("#SBATCH"):
            break
        lines.append(line[1:].removeprefix(" "))
    return lines


def commands(name: str) -> dict[str, str]:
    """The header's commands by their labels; a backslash continues one in the next line."""
    found: dict[str, str] = {}
    text = re.sub(r" *\\\n *", " ", "\n".join(header(name)))
    for label, command in re.findall(r"^(\w+): +(\S.*)$", text, re.MULTILINE):
        found[label] = command
    return found


def body(name: str) -> str:
    """A recipe without what is only said in it."""
    return "\n".join(line for line in (RECIPES / name).read_text().splitlines() if not line.lstrip().startswith("#"))


def load(name: str) -> dict[str, Any]:
    """A launcher's YAML, or the one document of ray.io in a manifest."""
    documents = list(yaml.safe_load_all((RECIPES / name).read_text()))
    found: dict[str, Any] = next(
        one for one in documents if "apiVersion" not in one or one["apiVersion"] == "ray.io/v1"
    )
    return found


def is_bash(command: str) -> bool:
    return subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0


# What all have in common.


def test_there_is_a_recipe_for_each_kind_of_cluster() -> None:
    assert NAMES == ["Dockerfile", "aws.yaml", "raycluster.yaml", "rayjob.yaml", "slurm.sh", "ssh.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_begins_with_what_it_is_for_and_three_commands(name: str) -> None:
    assert re.match(r"(A|One|The) \w+ ", header(name)[0])
    found = commands(name)
    assert {"start", "end"} <= set(found) and len({"submit", "run"} & set(found)) == 1
    for label, command in found.items():
        if label != "once":
            assert is_bash(command), f"{label}: {command}"
        for path in re.findall(r"cluster/recipes/[\w.]+", command):
            assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("name", NAMES)
def test_what_a_recipe_tells_podium_is_something_that_podium_understands(name: str) -> None:
    line = load(name)["spec"]["entrypoint"] if name == "rayjob.yaml" else commands(name).get("submit", "")
    line = line or commands(name)["run"]
    arguments = shlex.split(re.split(r" -- |hpo/run\.py |slurm\.sh ", line)[-1])
    spec = parse_spec(arguments)
    assert spec is not None and spec.search.model == ("cnn",) and spec.search.trials == 50


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_asks_for_the_token_and_sends_nothing_home(name: str) -> None:
    for variable, value in ENVIRONMENT.items():
        said = re.findall(rf"\b{variable}(?:=|, value: )\"?(\w+)", body(name))
        assert said and set(said) == {value}, variable
    # The client has to ask for it too; a token itself is in no file.
    if "submit" in commands(name):
        assert re.search(
            r"(^| )RAY_AUTH_MODE=token hpo submit --address http://127\.0\.0\.1:8265 -- ", commands(name)["submit"]
        )
    assert not re.search(r"[0-9a-f]{32}", (RECIPES / name).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_no_dashboard_is_open_to_strangers(name: str) -> None:
    if name == "Dockerfile":  # 0.0.0.0 is the container's own; it is published on the loopback
        assert "-p 127.0.0.1:8265:8265" in commands(name)["start"] and "EXPOSE" not in body(name)
    else:
        assert "0.0.0.0" not in body(name)
    assert not re.search(r"NodePort|LoadBalancer|hostNetwork|hostPort|Ingress", body(name))


@pytest.mark.parametrize("name", NAMES)
def test_versions_are_those_of_pyproject(name: str) -> None:
    pinned = next(one for one in PROJECT["dependencies"] if one.startswith("ray["))
    assert pinned in [one.replace("default", "tune") for one in PROJECT["optional-dependencies"]["cluster"]]
    minor = re.search(r">=(\d+\.\d+)", pinned)
    assert minor is not None and ray.__version__.startswith(minor[1] + ".")
    text = (RECIPES / name).read_text()
    for found in re.findall(r"(?:[Rr]ay-|rayVersion: |ray==|ray\[\w+\]==)(\d+\.\d+)", text):
        assert found == minor[1]
    for found in re.findall(r"python(?::| )(3\.\d+)", text):
        assert f">={found}" == PROJECT["requires-python"]
    for requirement in PROJECT["dependencies"]:
        package = re.split(r"\W", requirement)[0]
        assert not re.search(rf"\b{package}(\[\w+\])?[=<>~]=", body(name)), "requirements are pyproject's alone"


def check_ray_call(words: list[str]) -> set[str]:
    """The flags of a call of Ray's own command line, all of which it must know."""
    from ray.scripts.scripts import cli

    known = {option for parameter in cli.commands[words[0]].params for option in parameter.opts}
    flags = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
    assert flags <= known, f"ray {words[0]} {flags - known}"
    return flags


def ray_calls(name: str) -> list[list[str]]:
    """Calls of Ray's command line in a recipe, in words."""
    texts = list(commands(name).values())
    if name in LAUNCHERS:
        texts += load(name)["head_start_ray_commands"] + load(name)["worker_start_ray_commands"]
    if name == "Dockerfile":
        texts += [re.sub(r"[\[\]\", ]+", " ", line) for line in body(name).splitlines() if line.startswith("CMD")]
    found = re.findall(
        r"(?:^|[\s/(])ray ((?:start|up|down|dashboard|exec|get-auth-token)\b[^\n;|)&>]*)", "\n".join(texts)
    )
    return [call.split() for call in found]


@pytest.mark.parametrize(("name", "calls"), [("aws.yaml", 5), ("ssh.yaml", 6), ("Dockerfile", 2)])
def test_ray_knows_every_flag_that_a_recipe_gives_it(name: str, calls: int) -> None:
    flags = [check_ray_call(words) for words in ray_calls(name)]
    assert len(flags) == calls and {"--head"} in [one & {"--head"} for one in flags]


# aws.yaml and ssh.yaml, for Ray's cluster launcher.


@pytest.fixture(params=LAUNCHERS)
def prepared(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A launcher's file as Ray takes it: with Ray's defaults where it says nothing."""
    from ray.autoscaler._private.util import prepare_config

    config: dict[str, Any] = prepare_config(load(request.param))
    return config


def test_ray_takes_the_launchers_files(prepared: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import validate_config

    validate_config(prepared)
    with pytest.raises(Exception, match="Additional properties are not allowed"):
        validate_config({**prepared, "idle_timeout": 5})


def test_a_launchers_nodes_start_behind_the_token(prepared: dict[str, Any]) -> None:
    head, worker = prepared["head_start_ray_commands"], prepared["worker_start_ray_commands"]
    assert head[0].endswith("ray stop") and worker[0].endswith("ray stop") and len(head) == len(worker) == 2
    for start in (head[1], worker[1]):
        before = start.partition("ray start")[0]
        assert all(f" {variable}={value}" in before for variable, value in ENVIRONMENT.items()) and is_bash(start)
    assert "--head" in head[1] and "--dashboard-host=127.0.0.1" in head[1]
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in head[1]
    assert "--address=$RAY_HEAD_IP:6379" in worker[1] and "--head" not in worker[1]


def test_a_launchers_nodes_get_the_requirements_and_the_token(prepared: dict[str, Any]) -> None:
    mounts = prepared["file_mounts"]
    assert mounts.pop("~/.ray/auth_token") == "~/.ray/auth_token"
    assert mounts == {"~/podium/pyproject.toml": "pyproject.toml"} and (ROOT / "pyproject.toml").is_file()
    for setup in (prepared["head_setup_commands"], prepared["worker_setup_commands"]):
        assert all(map(is_bash, setup)) and "chmod 600 ~/.ray/auth_token" in setup
        assert not any("ray-wheels" in command for command in setup)  # Ray's default installs a nightly
        install = next(command for command in setup if "pyproject.toml" in command)
        assert install.endswith("-r ~/podium/pyproject.toml --extra cluster")
    assert "cluster" in PROJECT["optional-dependencies"]


def test_on_aws_nodes_come_and_go_and_the_head_runs_no_trials() -> None:
    from ray.autoscaler._private.util import prepare_config

    config = prepare_config(load("aws.yaml"))
    kinds = config["available_node_types"]
    head = kinds.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0} and head["max_workers"] == 0
    assert "InstanceMarketOptions" not in head["node_config"]
    assert set(kinds) == {"cpu", "gpu"}
    for kind in kinds.values():
        assert kind["min_workers"] == 0 < kind["max_workers"]
        assert kind["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert kind["node_config"]["ImageId"] == head["node_config"]["ImageId"]  # one Python everywhere
    assert sum(kind["max_workers"] for kind in kinds.values()) == config["max_workers"]
    assert 0 < config["idle_timeout_minutes"] <= 10 and config["provider"]["cache_stopped_nodes"] is False
    assert any("boto3" in command for command in config["head_setup_commands"])


def test_over_ssh_every_machine_is_a_node() -> None:
    from ray.autoscaler._private.util import prepare_config

    config = prepare_config(load("ssh.yaml"))
    machines = len(config["provider"]["worker_ips"])
    (kind,) = config["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == config["max_workers"] == machines > 1
    assert "ssh_private_key" not in config["auth"]  # it would be copied to the head
    assert not any("bashrc" in command for command in config["setup_commands"])


# raycluster.yaml and rayjob.yaml, for KubeRay.


def cluster_of(name: str) -> dict[str, Any]:
    manifest = load(name)
    assert manifest["apiVersion"] == "ray.io/v1"
    assert manifest["kind"] == {"raycluster.yaml": "RayCluster", "rayjob.yaml": "RayJob"}[name]
    spec: dict[str, Any] = manifest["spec"]
    cluster: dict[str, Any] = spec["rayClusterSpec"] if name == "rayjob.yaml" else spec
    return cluster


def pods(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    groups = [("head", cluster["headGroupSpec"])] + [(one["groupName"], one) for one in cluster["workerGroupSpecs"]]
    assert len({name for name, _ in groups}) == len(groups)
    return {name: group["template"]["spec"] for name, group in groups}


@pytest.mark.parametrize("name", MANIFESTS)
def test_kuberay_makes_a_token_and_the_versions_agree(name: str) -> None:
    cluster = cluster_of(name)
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"].split(".")[:2] == ray.__version__.split(".")[:2]
    images = {pod["containers"][0]["image"] for pod in pods(cluster).values()}
    assert images == {"registry.example.com/podium:ray-" + ".".join(ray.__version__.split(".")[:2])}
    assert f"docker push {images.pop()}" in "\n".join(header("raycluster.yaml"))


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_come_and_go_within_bounds(name: str) -> None:
    cluster = cluster_of(name)
    assert cluster["enableInTreeAutoscaling"] is True and cluster["autoscalerOptions"]["idleTimeoutSeconds"] >= 60
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert {group["groupName"] for group in cluster["workerGroupSpecs"]} == {"cpu", "gpu"}
    for group in cluster["workerGroupSpecs"]:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"] > 0


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_get_what_they_ask_for_and_no_more_rights_than_they_need(name: str) -> None:
    cluster = cluster_of(name)
    for group, pod in pods(cluster).items():
        (container,) = pod["containers"]
        asked, most = container["resources"]["requests"], container["resources"]["limits"]
        assert asked == most and {"cpu", "memory"} <= set(most)
        assert ("nvidia.com/gpu" in most) == (group == "gpu") == bool(pod.get("tolerations"))
        assert {one["name"]: one["value"] for one in container["env"]} == ENVIRONMENT
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 1000
        rights = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == rights == cluster["autoscalerOptions"]["securityContext"]
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        assert {mount["name"] for mount in container.get("volumeMounts", [])} == volumes


def test_the_commands_for_a_raycluster_name_what_kuberay_makes_of_it() -> None:
    name = load("raycluster.yaml")["metadata"]["name"]
    assert f"kubectl get secret {name} -o jsonpath='{{.data.auth_token}}'" in commands("raycluster.yaml")["submit"]
    assert f"kubectl port-forward service/{name}-head-svc 8265:8265" in "\n".join(header("raycluster.yaml"))


def test_a_rayjob_leaves_its_results_behind() -> None:
    claim, job = yaml.safe_load_all((RECIPES / "rayjob.yaml").read_text())
    assert claim["kind"] == "PersistentVolumeClaim"
    name, cluster, found = job["metadata"]["name"], cluster_of("rayjob.yaml"), commands("rayjob.yaml")
    head = pods(cluster)["head"]
    claims = {volume.get("persistentVolumeClaim", {}).get("claimName"): volume["name"] for volume in head["volumes"]}
    volume = claims[claim["metadata"]["name"]]
    place = next(mount["mountPath"] for mount in head["containers"][0]["volumeMounts"] if mount["name"] == volume)
    assert head["securityContext"]["fsGroup"] == 1000
    spec = parse_spec(shlex.split(job["spec"]["entrypoint"].partition("hpo/run.py")[2]))
    assert spec is not None and spec.resources.address == "auto" and str(spec.output.results_dir) == place
    assert f"{place}/{spec.output.name} " in found["fetch"] and f"job/{name}" in found["look"]
    ((key, value),) = cluster["headGroupSpec"]["template"]["metadata"]["labels"].items()
    assert f"-l {key}={value} " in found["fetch"]
    assert job["spec"]["shutdownAfterJobFinishes"] is True and job["spec"]["ttlSecondsAfterFinished"] >= 600
    assert job["spec"]["backoffLimit"] == 0
    # `delete -f` would take the claim, and the results with it.
    assert found["end"].startswith(f"kubectl delete rayjob/{name} ") and " -f" not in found["end"]
    assert "pvc" not in found["end"]


def test_a_rayjobs_code_reaches_every_pod(tmp_path: Path) -> None:
    from ray._private.runtime_env.packaging import get_top_level_dir_from_compressed_package
    from ray._private.runtime_env.protocol import ProtocolsProvider
    from ray._private.runtime_env.validation import parse_and_validate_working_dir

    start = commands("rayjob.yaml")["start"]
    packed = re.search(r"-o (\S+) HEAD ([\w. ]+?) &&", start)
    assert packed is not None
    parts = packed[2].split()
    with (ROOT / "pyproject.toml").open("rb") as file:
        packages = tomllib.load(file)["tool"]["setuptools"]["packages"]["find"]["include"]
    assert set(parts) == {name.removesuffix("*") for name in packages} | {"pyproject.toml"}
    uri = yaml.safe_load(load("rayjob.yaml")["spec"]["runtimeEnvYAML"])["working_dir"]
    assert parse_and_validate_working_dir(uri) == uri and uri.endswith(f"/{packed[1]}")
    for pod in pods(cluster_of("rayjob.yaml")).values():
        code = next(volume for volume in pod["volumes"] if "configMap" in volume)
        assert f"kubectl create configmap {code['configMap']['name']} --from-file={packed[1]}" in start
        mount = next(one for one in pod["containers"][0]["volumeMounts"] if one["name"] == code["name"])
        assert uri == f"file://{mount['mountPath']}/{packed[1]}" and mount["readOnly"] is True
    archive = tmp_path / packed[1]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as code_zip:
        for part in parts:
            for path in [ROOT / part] if (ROOT / part).is_file() else (ROOT / part).rglob("*.py"):
                code_zip.write(path, path.relative_to(ROOT))
    assert archive.stat().st_size < 1_000_000, "a configmap holds 1 MiB"
    assert get_top_level_dir_from_compressed_package(str(archive)) is None  # hpo/ and the others stay where they are
    ProtocolsProvider.download_remote_uri("file", archive.as_uri(), str(tmp_path / "there.zip"))
    assert (tmp_path / "there.zip").read_bytes() == archive.read_bytes()


# The image.


def test_the_image_has_the_requirements_of_pyproject_and_no_root() -> None:
    text = re.sub(r" *\\\n *", " ", body("Dockerfile"))
    lines = [line.partition(" ")[::2] for line in text.splitlines() if line]
    steps: dict[str, list[str]] = {}
    for instruction, rest in lines:
        steps.setdefault(instruction, []).append(rest)
    assert lines[0] == ("FROM", "python:3.11-slim") and len(steps["FROM"]) == 1
    assert steps["COPY"] == ["pyproject.toml /tmp/pyproject.toml"] and "ADD" not in steps
    install = next(rest for rest in steps["RUN"] if "uv pip install" in rest)
    assert "--system" in install and "-r /tmp/pyproject.toml --extra cluster" in install
    order = [instruction for instruction, _ in lines]
    assert steps["USER"] == ["1000"] and order.index("USER") > max(i for i, one in enumerate(order) if one == "RUN")
    assert dict(pair.split("=") for pair in steps["ENV"][0].split()) == ENVIRONMENT
    assert "--uid 1000 " in "".join(steps["RUN"])
    assert {pod["securityContext"]["runAsUser"] for name in MANIFESTS for pod in pods(cluster_of(name)).values()} == {
        1000
    }


# slurm.sh, run with stand-ins for Slurm, Ray and Python.

STAND_INS = {
    "scontrol": 'for n in $(seq "$NODES"); do echo "node-$n"; done',
    "getent": 'printf "127.0.1.1 STREAM %s\\n10.0.0.7 STREAM\\n10.0.0.7 DGRAM\\n" "$2"',
    "hostname": 'echo "10.0.0.8 "',
    "srun": """
        while [[ $1 == --* ]]; do
            [[ $1 == --nodelist=* ]] && export AT=${1#*=}
            [[ $1 == --nodes=* ]] && count=${1#*=}
            shift
        done
        commas=${AT//[^,]/}
        ((count == ${#commas} + 1)) || note "srun: $count nodes for $AT"
        [[ $1 == rm ]] && note "at $AT: $*"
        exec "$@"
    """,
    "sleep": """
        [[ $1 == 1 ]] && set -- 0.02
        exec /bin/sleep "$@"
    """,
    "ray": """
        if [[ $1 == health-check ]]; then [[ -e $LOG.up ]]; exit; fi
        note "at $AT: ray $* [$RAY_AUTH_MODE $RAY_USAGE_STATS_ENABLED $RAY_memory_monitor_refresh_ms $(umask)]"
        [[ $AT == "$BROKEN" ]] && exit 1
        mkdir -p "$RAY_TMPDIR"
        trap 'note "at $AT: ray ends"; kill $!; exit 0' TERM
        sleep 60 &
        touch "$LOG.$AT"
        [[ $AT == node-1 && $AT != "$SILENT" ]] && touch "$LOG.up"
        wait
    """,
    "python": """
        if [[ $1 == - ]]; then
            note "wait $2 $3"
            until [[ $3 == 1 || -e $LOG.node-2,node-3 ]]; do sleep 0.01; done
            exec "$PYTHON" -S "$@"
        fi
        note "study $(printf '%q ' "$@")"
        note "token $(stat -c %a "$RAY_AUTH_TOKEN_PATH" "${RAY_AUTH_TOKEN_PATH%/*}" | xargs) ${RAY_AUTH_TOKEN-unset}"
        cp "$RAY_AUTH_TOKEN_PATH" "$LOG.token"
        trap 'note "study hears TERM"; kill $!; exit 130' TERM
        [[ -n $CODE ]] && exit "$CODE"
        sleep 60 &
        touch "$LOG.studying"
        wait
    """,
}
FAKE_RAY = """
import os, time
clock = 0.0
def init(address, **settings): pass
def nodes():
    return [{"Alive": n < int(os.environ["JOINED"])} for n in range(int(os.environ["NODES"]))]
def sleep(seconds):
    global clock
    clock += seconds
time.monotonic, time.sleep = (lambda: clock), sleep
"""

Submit = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def submit(tmp_path: Path) -> Iterator[Submit]:
    """Starts slurm.sh as sbatch would, in a project's folder; what it starts writes to tmp_path/log."""
    project, bin_ = tmp_path / "project", tmp_path / "bin"
    (project / "hpo").mkdir(parents=True)
    (project / "hpo" / "run.py").touch()
    bin_.mkdir()
    for name, script in STAND_INS.items():
        (bin_ / name).write_text(f'#!/bin/bash\nnote() {{ echo "$*" >> "$LOG"; }}\n{script}\n')
        (bin_ / name).chmod(0o755)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "ray.py").write_text(FAKE_RAY)
    started = []

    def start(*arguments: str, nodes: int = 3, cwd: Path = project, **settings: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": f"{bin_}:/usr/bin:/bin",
            "PYTHONPATH": str(tmp_path / "fake"),
            "PYTHON": sys.executable,
            "LOG": str(tmp_path / "log"),
            "NODES": str(nodes),
            "JOINED": str(nodes),
            "CODE": "",
            "BROKEN": "none",
            "SILENT": "none",
            "RAY_AUTH_TOKEN": "of another cluster",
            "SLURM_JOB_ID": "123456",
            "SLURM_JOB_NODELIST": "node-[1-3]",
            "SLURM_CPUS_PER_TASK": "8",
            **settings,
        }
        process = subprocess.Popen(
            ["bash", str(RECIPES / "slurm.sh"), *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


def log(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []


def until(path: Path) -> None:
    end = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not come"
        time.sleep(0.01)


def test_slurm_sh_is_good_bash() -> None:
    script = RECIPES / "slurm.sh"
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    assert script.stat().st_mode & stat.S_IXUSR
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_slurm_reads_its_directives_before_the_first_command() -> None:
    lines = (RECIPES / "slurm.sh").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    directives = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")]
    assert all(number < first for number, line in enumerate(lines) if line.startswith("#SBATCH"))
    assert "signal=B:USR1@300" in directives and "ntasks-per-node=1" in directives
    assert "scancel --batch --signal=USR1" in commands("slurm.sh")["end"]
    assert "##SBATCH --gres=gpu:1" in lines


def test_slurm_starts_ray_on_every_node_then_the_study_and_ends_ray(submit: Submit, tmp_path: Path) -> None:
    process = submit("--model", "cnn", "--name", "a b", CODE="0", SLURM_GPUS_ON_NODE="2")
    assert process.wait(20) == 0 and process.stderr is not None and process.stderr.read() == ""
    head, worker, waited, study, token, *ends = log(tmp_path)
    node = "--num-cpus=8 --num-gpus=2"
    as_all = "[token 0 0 0077]"
    assert head == (
        f"at node-1: ray start --block {node} --head --node-ip-address=10.0.0.7 --port=26912 "
        f"--ray-client-server-port=26913 --include-dashboard=false {as_all}"
    )
    started = [f"at node-2,node-3: ray start --block {node} --address=10.0.0.7:26912 {as_all}", "wait 10.0.0.7:26912 3"]
    assert sorted([worker, waited]) == sorted(started)
    assert all(
        check_ray_call(re.findall(r"ray (.*) \[", line)[0].split()) for line in log(tmp_path) if "ray start" in line
    )
    assert study == "study hpo/run.py --address 10.0.0.7:26912 --model cnn --name a\\ b "
    assert token == "token 600 700 unset" and re.fullmatch("[0-9a-f]{64}", (tmp_path / "log.token").read_text())
    assert sorted(ends[:2]) == ["at node-1: ray ends", "at node-2,node-3: ray ends"]
    removed = re.fullmatch(r"at node-1,node-2,node-3: rm -rf (/tmp/podium-[0-9a-f]{12})", ends[2])
    assert removed and not Path(removed[1]).exists() and len(ends) == 3
    assert sorted(path.name for path in (tmp_path / "project").iterdir()) == ["hpo"]


def test_slurm_on_one_node_has_no_workers(submit: Submit, tmp_path: Path) -> None:
    assert submit(nodes=1, CODE="0").wait(20) == 0
    lines = log(tmp_path)
    assert [line.partition(" --")[0] for line in lines if "ray start" in line] == ["at node-1: ray start"]
    assert "--num-gpus=0" in lines[0] and lines[1] == "wait 10.0.0.7:26912 1"


def test_slurm_ends_with_the_studys_exit_code(submit: Submit, tmp_path: Path) -> None:
    assert submit(CODE="7").wait(20) == 7
    assert log(tmp_path)[-1].startswith("at node-1,node-2,node-3: rm -rf ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_slurm_passes_a_signal_on_and_waits_for_the_study(
    submit: Submit, tmp_path: Path, number: signal.Signals
) -> None:
    process = submit()
    until(tmp_path / "log.studying")
    process.send_signal(number)
    assert process.wait(20) == 130
    lines = log(tmp_path)
    assert lines.count("study hears TERM") == 1
    assert lines.index("study hears TERM") < min(lines.index(line) for line in lines if line.endswith("ray ends"))
    assert not list((tmp_path / "project").glob(".podium-*"))


def test_slurm_that_is_ended_before_the_study_leaves_nothing(submit: Submit, tmp_path: Path) -> None:
    process = submit(SILENT="node-1")
    until(tmp_path / "log.node-1")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 143
    lines = log(tmp_path)
    assert "at node-1: ray ends" in lines and not any("study" in line for line in lines)
    assert not list((tmp_path / "project").glob(".podium-*"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"BROKEN": "node-1"}, "slurm.sh: Ray does not start on node-1; see above\n"),
        ({"JOINED": "2"}, "slurm.sh: after two minutes 2 of 3 nodes have joined\n"),
    ],
)
def test_slurm_says_in_one_line_why_there_is_no_study(
    submit: Submit, tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    process = submit(**settings)
    assert process.wait(20) == 1 and process.stderr is not None and process.stderr.read() == message
    assert not any("study" in line for line in log(tmp_path))
    assert not list((tmp_path / "project").glob(".podium-*"))


def test_slurm_from_another_folder_starts_nothing(submit: Submit, tmp_path: Path) -> None:
    process = submit(cwd=tmp_path)
    assert process.wait(20) == 1 and process.stderr is not None
    assert process.stderr.read() == "slurm.sh: submit it from Podium's folder\n" and log(tmp_path) == []
