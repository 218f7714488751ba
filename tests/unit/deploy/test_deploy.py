"""deploy/: what Prometheus, Grafana, Compose and Kubernetes are told names what there is. No engine is needed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from api.server import GRACE_SECONDS
from app.history import History
from app.settings.settings import Settings, load_settings
from app.settings.sources import ENV_PREFIX
from app.telemetry.metrics import API, RECORDER, WORKER
from manual.metrics import told
from tests.support.parse_command import parse
from tests.support.paths import ROOT
from tests.support.programs import program
from topics.registry import FEEDBACK, PREDICTIONS

DEPLOY = ROOT / "deploy"
BASE, PRODUCTION = DEPLOY / "kubernetes" / "base", DEPLOY / "kubernetes" / "overlays" / "production"
AUTOSCALING = DEPLOY / "kubernetes" / "components" / "autoscaling"
AUTOSCALED = DEPLOY / "kubernetes" / "overlays" / "autoscaled"
WITH_POSTGRESQL = DEPLOY / "kubernetes" / "overlays" / "with-postgresql"
UNPRIVILEGED = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip
PORTS = ("DRIFTLINE_METRICS_PORT", "DRIFTLINE_RECORDER_METRICS_PORT", "DRIFTLINE_API_METRICS_PORT")
"""Where a process has its `/metrics`."""
NAMES = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
OURS = {name: set(one.labels) for registry in (WORKER, RECORDER, API) for one in told(registry) for name in one.names}
THEIRS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
WORDS = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
TEXTS = re.compile(r'"[^"]*"')


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def manifests(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def deployments() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in manifests(BASE) if one["kind"] == "Deployment"}


def queries() -> list[str]:
    """Every PromQL expression of the alert rules and of the dashboard."""
    rules = [
        rule["expr"] for group in loaded(DEPLOY / "prometheus" / "alerts.yml")["groups"] for rule in group["rules"]
    ]
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "driftline.json").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return rules + panels + [variable["definition"] for variable in dashboard["templating"]["list"]]


def metrics_in(query: str) -> set[str]:
    return {word for word in WORDS.findall(TEXTS.sub("", query)) if word.startswith(("driftline_", "process_"))}


def labels_in(query: str) -> set[str]:
    """Labels that a query groups by or selects with."""
    grouped = [name for by in re.findall(r"\bby \(([^)]*)\)", query) for name in by.split(",")]
    selected = [name for inner in re.findall(r"\{([^}]*)\}", query) for name in re.findall(r"(\w+)[=!]", inner)]
    return {name.strip() for name in (*grouped, *selected)}


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.y*ml")), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_file_is_sound_yaml_and_names_settings_that_there_are(path: Path) -> None:
    assert list(yaml.safe_load_all(path.read_text()))
    assert set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]+", path.read_text())) <= NAMES


@pytest.mark.parametrize("query", queries())
def test_every_query_names_metrics_and_labels_that_there_are(query: str) -> None:
    found = metrics_in(query)
    assert found | ({"up"} if "up{" in query else set())
    assert found <= OURS.keys() | THEIRS
    allowed = set().union(*(OURS.get(name, set()) for name in found)) | {"le", "instance", "job"}
    assert labels_in(query) <= allowed


def test_a_metric_that_is_not_there_would_be_found() -> None:
    assert metrics_in('sum by (x) (rate(driftline_nothing_total{a="b"}[5m]))') == {"driftline_nothing_total"}
    assert labels_in('sum by (x, le) (rate(driftline_nothing_total{a="b", c=~"d"}[5m]))') == {"x", "le", "a", "c"}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "tests.yml")], ids=" ".join)
def test_prometheus_takes_the_rules_and_they_alert_when_they_should(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [program("promtool", "prometheus"), *arguments],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def every_manifest() -> list[dict[str, Any]]:
    folders = [path.parent for path in (DEPLOY / "kubernetes").rglob("kustomization.yaml")]
    found = [one for folder in folders for one in manifests(folder)]
    return [one for one in found if not one["apiVersion"].startswith("kustomize.")]


@pytest.mark.parametrize("one", every_manifest(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_kubernetes_knows_every_member_of_every_manifest(one: dict[str, Any]) -> None:
    if one["apiVersion"].startswith("keda."):
        assert one["kind"] == "ScaledObject"  # of a kind that KEDA brings; held against our settings below
        return
    kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


def test_a_member_that_kubernetes_does_not_know_would_be_found() -> None:
    api = deployments()["driftline-api"]
    api["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(api, kubernetes_validate.latest_version(), strict=True)


def test_every_alert_says_what_it_is_and_how_bad() -> None:
    for group in loaded(DEPLOY / "prometheus" / "alerts.yml")["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"info", "warning", "critical"}, rule
            assert {"summary", "description"} <= rule["annotations"].keys(), rule
            used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
            grouped = re.search(r"by \(([^)]*)\)", rule["expr"])
            if grouped and "histogram_quantile" not in rule["expr"]:
                assert used <= {name.strip() for name in grouped[1].split(",")}, rule


def test_the_dashboard_fits_its_grid_and_its_source() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "driftline.json").read_text())
    (source,) = loaded(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    taken = set[tuple[int, int]]()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel.get("datasource", {"uid": source["uid"]})["uid"] == source["uid"]


def test_compose_has_all_and_scrapes_what_runs() -> None:
    compose = loaded(DEPLOY / "docker-compose.yml")
    services = compose["services"]
    assert set(services) == {
        "kafka", "worker-1", "worker-2", "postgres", "recorder", "api", "prometheus", "grafana",
    }  # fmt: skip
    plain = loaded(ROOT / "docker-compose.kafka.yml")["services"]
    for name, service in services.items():
        extended = service.get("extends")
        if extended:
            assert (DEPLOY / extended["file"]).resolve() == ROOT / "docker-compose.kafka.yml", name
            assert extended["service"] in plain, name
            assert service.get("depends_on") == plain[extended["service"]].get("depends_on"), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith("./") else source in compose["volumes"], volume
    scraped = set[str]()
    for config in loaded(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]:
        for target in config["static_configs"][0]["targets"]:
            host, _, port = target.partition(":")
            given = services[host].get("environment", {})
            wanted = next((given[name] for name in PORTS if name in given), load_settings().api_port)
            assert int(port) == wanted, target
            scraped.add(host)
    assert scraped == services.keys() - {"kafka", "postgres", "prometheus", "grafana"}


def test_workloads_have_probes_limits_and_no_privileges() -> None:
    assert set(deployments()) == {"driftline-worker", "driftline-recorder", "driftline-api"}
    for name, one in deployments().items():
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        parse(container["args"])
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        given = {entry["name"]: entry["value"] for entry in container["env"]}
        (port,) = [given[setting] for setting in PORTS if setting in given]
        asked = given.get("DRIFTLINE_API_PORT", port)
        ready = "/ready?for=events" if name == "driftline-api" else "/ready"  # unready, a Service sends it nothing
        for probe, path in (("startupProbe", "/health"), ("livenessProbe", "/health"), ("readinessProbe", ready)):
            get = container[probe]["httpGet"]
            assert (get["path"], ports[get["port"]]) == (path, int(asked)), (name, probe)
        assert one["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == port
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= container["resources"][kind].keys(), name
        assert_unprivileged(pod)
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}, name
        assert one["spec"]["replicas"] == (1 if name == "driftline-recorder" else 2)
        if name != "driftline-recorder":
            assert_spread(one)


def assert_spread(one: dict[str, Any]) -> None:
    """Not all on one node or in one zone; and still somewhere where there is only one."""
    spread = one["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for each in spread:
        assert each["labelSelector"]["matchLabels"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"


def test_a_pod_that_leaves_gets_no_new_requests_before_it_is_told_and_answers_within_its_time() -> None:
    pod = deployments()["driftline-api"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert int(seconds) + GRACE_SECONDS < pod["terminationGracePeriodSeconds"]


def test_the_apis_metrics_are_for_the_cluster_and_not_for_its_callers() -> None:
    (service,) = [one for one in manifests(BASE) if one["kind"] == "Service"]
    (container,) = deployments()["driftline-api"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports - {"metrics"}


def test_the_network_lets_in_callers_of_the_api_and_prometheus_alone() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in manifests(BASE) if one["kind"] == "NetworkPolicy"}
    assert policies.pop("driftline-closed") == {"podSelector": {}, "policyTypes": ["Ingress"]}
    opened = {name: {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
              for name, spec in policies.items()}  # fmt: skip
    assert opened == {"driftline-api": {"http"}, "driftline-metrics": {"metrics"}}
    api = policies["driftline-api"]["podSelector"]["matchLabels"].items()
    for name, one in deployments().items():
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert (api <= labels.items()) == (name == "driftline-api"), name
        named = {port["name"] for port in one["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert named == ({"http", "metrics"} if name == "driftline-api" else {"metrics"}), name
    (closed,) = [one["spec"] for one in manifests(WITH_POSTGRESQL) if one["kind"] == "NetworkPolicy"]
    (pod,) = [one["spec"]["template"] for one in manifests(WITH_POSTGRESQL) if one["kind"] == "StatefulSet"]
    assert closed["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert closed["egress"] == []
    (rule,) = closed["ingress"]
    who = {one["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in rule["from"]}
    assert who == {"recorder", "api"}  # both read or write the history


def assert_unprivileged(pod: dict[str, Any]) -> None:
    """A namespace that enforces the restricted standard takes it."""
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert [container["securityContext"] for container in pod["containers"]] == [UNPRIVILEGED]


def test_one_recorder_writes_the_history_that_the_api_reads() -> None:
    recorder, api = deployments()["driftline-recorder"], deployments()["driftline-api"]
    assert (recorder["spec"]["replicas"], recorder["spec"]["strategy"]) == (1, {"type": "Recreate"})
    for one, optional in ((recorder, False), (api, True)):
        (container,) = one["spec"]["template"]["spec"]["containers"]
        (secret,) = [source["secretRef"] for source in container["envFrom"] if "secretRef" in source]
        assert (secret["name"], secret.get("optional", False)) == ("driftline-history", optional)


def test_the_server_of_the_overlay_is_the_one_of_the_how_to() -> None:
    found = {one["kind"]: one for one in manifests(WITH_POSTGRESQL) if one["kind"] in {"StatefulSet", "Service"}}
    pod, service = found["StatefulSet"]["spec"]["template"]["spec"], found["Service"]
    assert_unprivileged(pod)
    (container,) = pod["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    (url,) = re.findall(r"from-literal=DRIFTLINE_HISTORY_URL=(postgresql://driftline@driftline-postgres\S+)", page)
    address = History(url).engine.url
    assert address.host == service["metadata"]["name"] == found["StatefulSet"]["spec"]["serviceName"]
    made = {"POSTGRES_USER": address.username, "POSTGRES_DB": address.database}
    assert made == {name: environment[name]["value"] for name in made}
    assert {address.username, address.database} <= set(container["readinessProbe"]["exec"]["command"])
    secret = environment["POSTGRES_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "driftline-history", "key": "DRIFTLINE_HISTORY_PASSWORD"}
    assert secret["key"] in NAMES
    assert f"--from-literal={secret['key']}=" in page
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert container["image"] == loaded(ROOT / "docker-compose.kafka.yml")["services"]["postgres"]["image"]
    (volume,) = found["StatefulSet"]["spec"]["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["metadata"]["name"], *(one["name"] for one in pod["volumes"])}
    assert environment["PGDATA"]["value"].startswith(mounts[volume["metadata"]["name"]])


def test_workers_are_scaled_by_the_lag_of_their_own_group_and_topics() -> None:
    (scaled,) = [one for one in manifests(AUTOSCALING) if one["kind"] == "ScaledObject"]
    spec, settings = scaled["spec"], config(BASE)
    (alone,) = loaded(AUTOSCALING / "kustomization.yaml")["patches"]
    assert alone["target"] == {"kind": "Deployment", "name": spec["scaleTargetRef"]["name"]}
    assert yaml.safe_load(alone["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]
    assert spec["scaleTargetRef"]["name"] in deployments()
    assert 2 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= settings.partitions
    triggers = [trigger["metadata"] for trigger in spec["triggers"] if trigger["type"] == "kafka"]
    assert [trigger["topic"] for trigger in triggers] == [t.full_name(settings.prefix) for t in (PREDICTIONS, FEEDBACK)]
    for trigger in triggers:
        assert (trigger["consumerGroup"], trigger["bootstrapServers"]) == (settings.group, settings.bootstrap_servers)
        assert int(trigger["lagThreshold"]) > 0


def config(folder: Path) -> Settings:
    """The settings that an overlay gives, on top of the base's."""
    given: dict[str, str] = {}
    for one in (BASE, folder):
        for generator in loaded(one / "kustomization.yaml")["configMapGenerator"]:
            given |= dict(literal.split("=", 1) for literal in generator["literals"])
    return load_settings(**{name.removeprefix(ENV_PREFIX).lower(): value for name, value in given.items()})


def test_the_overlay_changes_what_hangs_together() -> None:
    settings = config(PRODUCTION)
    patches = {
        patch["target"]["kind"]: yaml.safe_load(patch["patch"])
        for patch in loaded(AUTOSCALED / "kustomization.yaml")["patches"]
    }
    changed = {patch["path"]: patch["value"] for patch in patches["ScaledObject"]}
    assert changed["/spec/maxReplicaCount"] <= settings.partitions
    assert {value for path, value in changed.items() if path.endswith("bootstrapServers")} == {
        settings.bootstrap_servers
    }
    assert settings.replication == 3


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl builds it where there is one; the parts are tested above"
)
@pytest.mark.parametrize("overlay", [PRODUCTION, WITH_POSTGRESQL, AUTOSCALED], ids=lambda path: path.name)
def test_kustomize_builds_the_overlay(overlay: Path) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=True, timeout=60
    )
    found = list(yaml.safe_load_all(built.stdout))
    more = {WITH_POSTGRESQL: {"StatefulSet"}, AUTOSCALED: {"ScaledObject"}}.get(overlay, set())
    assert {one["kind"] for one in found} == more | {
        "Namespace", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy",
    }  # fmt: skip
    for one in found:
        if one["kind"] != "ScaledObject":
            kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    assert {one["metadata"]["namespace"] for one in found if one["kind"] != "Namespace"} == {"driftline"}
    (worker,) = [one for one in found if one["metadata"]["name"] == "driftline-worker" and one["kind"] == "Deployment"]
    assert ("replicas" in worker["spec"]) == (overlay is not AUTOSCALED)
    for scaled in [one for one in found if one["kind"] == "ScaledObject"]:
        assert scaled["spec"]["maxReplicaCount"] == 24
