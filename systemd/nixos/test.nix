# The NixOS test in a virtual machine: a secret, two generations, drift, dry-activate, rollback.
#
# It has not been run where this file was written, which had no virtualisation; the flake's `checks.vm` runs it.
{ pkgs, module }:
let
  # A key of this test alone, made anew with each build, and a file that it opens.
  secrets = pkgs.runCommand "secrets" { nativeBuildInputs = [ pkgs.age ]; } ''
    mkdir $out
    age-keygen -o $out/key
    printf 'WORD=%s\n' open-sesame | age -r "$(age-keygen -y $out/key)" -a -o $out/web.env
  '';
  image = pkgs.dockerTools.buildImage {
    name = "idle";
    tag = "1";
    copyToRoot = [ pkgs.pkgsStatic.busybox ];
  };
  generation = motd: {
    services.compose-agent.stacks.web = {
      compose.services.web = {
        image = "idle:1";
        pull_policy = "never";
        command = [
          "/bin/sleep"
          "1000000"
        ];
        environment.WORD = "\${WORD}";
        volumes = [ "./motd:/motd:ro" ];
      };
      secrets.env = [ "${secrets}/web.env" ];
      files.motd.text = motd;
    };
  };
in
pkgs.testers.runNixOSTest {
  name = "compose-agent";
  nodes.machine = {
    imports = [
      module
      (generation "one")
    ];
    virtualisation.docker.enable = true;
    services.compose-agent = {
      enable = true;
      keys.age = [ "/etc/age-key" ];
      waitOnSwitch.enable = true;
    };
    environment.etc."age-key".source = "${secrets}/key";
    systemd.services.load-image = {
      wantedBy = [ "multi-user.target" ];
      before = [ "compose-agent.service" ];
      after = [ "docker.service" ];
      requires = [ "docker.service" ];
      path = [ pkgs.docker ];
      script = "docker load -i ${image}";
      serviceConfig.Type = "oneshot";
      serviceConfig.RemainAfterExit = true;
    };
    specialisation.second.configuration = pkgs.lib.mkMerge [
      {
        services.compose-agent.stacks.web.files.motd.text = pkgs.lib.mkForce "two";
      }
    ];
  };
  testScript = ''
    import json

    def container():
        return json.loads(machine.succeed("docker inspect web-web-1"))[0]

    machine.wait_for_unit("compose-agent.service")
    machine.succeed("agentctl wait --timeout 2m")
    first = container()
    assert "WORD=open-sesame" in first["Config"]["Env"]
    machine.fail("grep -r open-sesame /etc/compose-agent/ /var/lib/compose-agent/")
    assert machine.succeed("docker exec web-web-1 /bin/cat /motd") == "one"

    with subtest("a switch to the same system does nothing to a container"):
        machine.succeed("/run/current-system/bin/switch-to-configuration test")
        assert container()["Id"] == first["Id"]
        assert container()["State"]["StartedAt"] == first["State"]["StartedAt"]

    with subtest("drift is put right"):
        machine.succeed("docker rm -f web-web-1")
        machine.wait_until_succeeds("docker exec web-web-1 /bin/cat /motd", timeout=60)

    second = "/run/booted-system/specialisation/second"
    with subtest("dry-activate says that the agent would be reloaded, and changes nothing"):
        before = container()["Id"]
        said = machine.succeed(f"{second}/bin/switch-to-configuration dry-activate 2>&1")
        assert "web-web-1" in said, said
        assert "would reload" in said and "compose-agent.service" in said, said
        assert container()["Id"] == before

    with subtest("the second generation"):
        pid = machine.succeed("systemctl show -P MainPID compose-agent")
        machine.succeed(f"{second}/bin/switch-to-configuration test")
        assert machine.succeed("docker exec web-web-1 /bin/cat /motd") == "two"
        assert machine.succeed("systemctl show -P MainPID compose-agent") == pid

    with subtest("rollback"):
        machine.succeed("/run/booted-system/bin/switch-to-configuration test")
        assert machine.succeed("docker exec web-web-1 /bin/cat /motd") == "one"
        machine.succeed("agentctl status")

    with subtest("the journal can be asked by stack"):
        machine.succeed("journalctl -u compose-agent STACK=web --no-pager | grep web")
  '';
}
