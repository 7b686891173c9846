# One of everything: what it renders to is recorded beside this file.
{ pkgs, ... }:
{
  services.openssh.enable = true;
  services.compose-agent = {
    enable = true;
    keys.age = [ "/var/lib/sops-nix/key.txt" ];
    readGroup = "users";
    metrics = {
      listen = "127.0.0.1:9323";
      textFile = "/var/lib/node-exporter/compose-agent.prom";
    };
    notifications = [
      {
        webhook = "http://127.0.0.1:8080/message";
        shape = "gotify";
        tokenFile = "/run/secrets/gotify-token";
      }
    ];
    allowEmpty = true;
    waitOnSwitch.enable = true;
    defaults = {
      drift = "report";
      pruneImages = "never";
      registries."ghcr.io".identityTokenFile = "/run/secrets/ghcr";
    };
    stacks.values = {
      compose.services.web = {
        image = "nginx:\${TAG}";
        environment.EMPTY = null;
        secrets = [ "tls.key" ];
        volumes = [ "./conf/motd:/etc/motd:ro" ];
      };
      env = {
        TAG = "1.29";
        QUOTED = "it's $5 \\ \"x\"\nand more";
      };
      secrets.env = [
        ../fixtures/immich.env
      ];
      secrets.files."tls.key" = ../fixtures/tls.key;
      secrets.onChange.web = "restart";
      files."conf/motd".text = "hello";
      images = [
        (pkgs.writeTextFile {
          name = "nginx.tar";
          text = "an archive";
        })
      ];
      pruneImages.keepLast = 1;
      checkRegistry = "24h";
      registries."registry.example.com:5000" = {
        username = "ci";
        passwordFile = ../fixtures/tls.key;
      };
      requiresMounts = [
        "/mnt/data"
        {
          path = "/mnt/media";
          type = "nfs4";
          optional = true;
        }
      ];
      drift = {
        default = "correct";
        services.web = "ignore";
        ignore = [ "web.labels" ];
      };
      update = {
        keepOld = false;
        order = "stop-first";
        monitor = "30s";
      };
      ensureDirs."/mnt/data/web" = {
        owner = 999;
        mode = "0750";
      };
      healthDeadline = "5m";
      unsetVariables = "error";
      removeOrphans = false;
    };
    stacks.one = {
      compose = ../fixtures/docker-compose.yml;
      project = "uno";
    };
    stacks.several.compose = [
      ../fixtures/docker-compose.yml
      ../fixtures/more.yml
    ];
  };
}
