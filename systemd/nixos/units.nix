# Which units run on this host? Those of systemd/units, with this host's settings.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.compose-agent;
  unitFile = import ./unit-file.nix { inherit lib; };
  service = unitFile ../units/compose-agent.service;
  socket = unitFile ../units/compose-agent.socket;
  memory = unitFile (../units + "/run-compose\\x2dagent-secrets.mount");

  words = lib.concatMap (lib.splitString " ");
  single = lib.mapAttrs (
    _: found: lib.mkDefault (if lib.length found == 1 then lib.head found else found)
  );
  engine = (import ./common.nix { inherit lib pkgs; }).engine cfg.docker.socket;
  isRemote = lib.hasPrefix "tcp://" engine;
  credentials = lib.imap0 (index: path: {
    id = "compose-agent.key-${toString index}";
    inherit path;
  }) (cfg.keys.age ++ cfg.keys.ssh);
  arguments = [
    "--docker-host=${engine}"
    "--group=${cfg.group}"
    "--resync=${cfg.resync}"
    "--parallel=${toString cfg.parallel}"
  ]
  ++ lib.optional (cfg.readGroup != null) "--read-group=${cfg.readGroup}"
  ++ lib.optional (cfg.metrics.listen != null) "--metrics=unix:${metricsSocket}"
  ++ lib.optional (cfg.metrics.textFile != null) "--metrics-file=${cfg.metrics.textFile}"
  ++ cfg.extraArgs;
  # A port is systemd's, who passes it on: the agent has no network.
  hasPort = cfg.metrics.listen != null && !lib.hasPrefix "/" cfg.metrics.listen;
  metricsSocket = if hasPort then "/run/compose-agent/metrics.sock" else cfg.metrics.listen;
  proxy = unitFile ../units/compose-agent-metrics.service;
  port = unitFile ../units/compose-agent-metrics.socket;
  notifies = cfg.notifications != [ ];
  notify = unitFile ../units/compose-agent-notify.service;
  notifyCredentials = lib.concatLists (
    lib.imap0 (
      index: one:
      lib.optional (one.tokenFile != null) "token-${toString index}:${one.tokenFile}"
      ++ lib.optional (one.webhookFile != null) "webhook-${toString index}:${one.webhookFile}"
    ) cfg.notifications
  );
  # What switch-to-configuration compares: another stack is a reload, another package or setting a restart.
  stackFiles = lib.mapAttrsToList (_: entry: entry.source) (
    lib.filterAttrs (name: _: lib.hasPrefix "compose-agent/" name) config.environment.etc
  );
in
{
  config = lib.mkIf cfg.enable {
    systemd.services.compose-agent = {
      description = lib.head service.Unit.Description;
      documentation = words service.Unit.Documentation;
      wantedBy = words service.Install.WantedBy;
      requires = words service.Unit.Requires;
      # sops-nix's secrets and the host's ssh keys are there first, where something makes them.
      after = words service.Unit.After ++ [
        "sops-install-secrets.service"
        "sshd-keygen.service"
      ];
      startLimitIntervalSec = 0;
      path = lib.optional (cfg.keys.sops != null) cfg.keys.sops;
      reloadTriggers = stackFiles;
      stopIfChanged = false;
      serviceConfig =
        single (removeAttrs service.Service [ "ExecStart" ])
        // {
          ExecStart = "${cfg.package}/bin/compose-agent ${lib.escapeShellArgs arguments}";
        }
        // lib.optionalAttrs (credentials != [ ]) {
          LoadCredential = map (key: "${key.id}:${key.path}") credentials;
          # Stands in for a key that is absent, which then keeps the agent from nothing but its own files.
          SetCredential = map (key: "${key.id}:# absent") credentials;
        }
        // lib.optionalAttrs (cfg.metrics.textFile != null) {
          ReadWritePaths = service.Service.ReadWritePaths ++ [ (dirOf cfg.metrics.textFile) ];
        }
        // lib.optionalAttrs isRemote {
          PrivateNetwork = false;
          IPAddressDeny = "";
          RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
        };
    };

    systemd.sockets.compose-agent = {
      description = lib.head socket.Unit.Description;
      documentation = words socket.Unit.Documentation;
      wantedBy = words socket.Install.WantedBy;
      listenStreams = socket.Socket.ListenStream;
      socketConfig = single (removeAttrs socket.Socket [ "ListenStream" ]) // {
        SocketGroup = cfg.group;
        # Where others may look, the agent itself tells callers apart.
        SocketMode = if cfg.readGroup == null then "0660" else "0666";
      };
    };

    systemd.sockets.compose-agent-metrics = lib.mkIf hasPort {
      description = lib.head port.Unit.Description;
      documentation = words port.Unit.Documentation;
      wantedBy = words port.Install.WantedBy;
      listenStreams = [ cfg.metrics.listen ];
      socketConfig = single (removeAttrs port.Socket [ "ListenStream" ]);
    };
    systemd.services.compose-agent-metrics = lib.mkIf hasPort {
      description = lib.head proxy.Unit.Description;
      documentation = words proxy.Unit.Documentation;
      after = words proxy.Unit.After;
      serviceConfig = single (removeAttrs proxy.Service [ "ExecStart" ]) // {
        ExecStart = "${config.systemd.package}/lib/systemd/systemd-socket-proxyd --exit-idle-time=60 ${metricsSocket}";
      };
    };

    # Apart from the agent: what has a network may only look. It reads agent.yaml again by itself where that changes.
    services.compose-agent.readGroup = lib.mkIf notifies (lib.mkDefault "compose-agent-read");
    systemd.services.compose-agent-notify = lib.mkIf notifies {
      description = lib.head notify.Unit.Description;
      documentation = words notify.Unit.Documentation;
      wantedBy = words notify.Install.WantedBy;
      after = words notify.Unit.After;
      serviceConfig =
        single (removeAttrs notify.Service [ "ExecStart" ])
        // {
          ExecStart = "${cfg.package}/bin/agentctl notify";
          Group = cfg.readGroup;
        }
        // lib.optionalAttrs (notifyCredentials != [ ]) { LoadCredential = notifyCredentials; };
    };

    systemd.mounts = [
      {
        description = lib.head memory.Unit.Description;
        what = lib.head memory.Mount.What;
        where = lib.head memory.Mount.Where;
        type = lib.head memory.Mount.Type;
        options = lib.head memory.Mount.Options;
        before = lib.unique (words memory.Unit.Before);
        conflicts = words memory.Unit.Conflicts;
        unitConfig.DefaultDependencies = false;
      }
    ];

    # Started anew by each switch, after the reload: it fails the switch with the reason that agentctl gives.
    systemd.services.compose-agent-wait = lib.mkIf cfg.waitOnSwitch.enable {
      description = "Containers are as this system declares them";
      wantedBy = [ "multi-user.target" ];
      requires = [ "compose-agent.socket" ];
      after = [ "compose-agent.service" ];
      restartTriggers = stackFiles;
      stopIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${cfg.package}/bin/agentctl wait --generation /run/current-system --timeout ${cfg.waitOnSwitch.timeout}";
        TimeoutStartSec = "infinity";
      };
    };

    # A name that another part of the system has is left to it.
    users.groups =
      lib.optionalAttrs (cfg.group == "compose-agent") { compose-agent = { }; }
      // lib.optionalAttrs (cfg.readGroup == "compose-agent-read") { compose-agent-read = { }; };
    systemd.tmpfiles.rules = [ "d /run/compose-agent 0755 root root -" ];
  };
}
