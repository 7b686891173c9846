# A host, or a virtual machine that it was passed through to, with a graphics card: by CDI, by its device, or by Compose's own
# `gpus`.
#
# Where a card is absent, that is said of the service that names it, and the others run.
{ ... }:
{
  # Writes /var/run/cdi/nvidia-container-toolkit.json, which names `nvidia.com/gpu=…`.
  hardware.nvidia-container-toolkit.enable = true;
  virtualisation.docker = {
    enable = true;
    # On by default from Engine 28 on.
    daemon.settings.features.cdi = true;
  };

  services.compose-agent = {
    enable = true;
    stacks = {
      ollama.compose.services.ollama = {
        image = "ollama/ollama:0.12.3";
        devices = [ "nvidia.com/gpu=all" ];
      };
      frigate.compose.services.frigate = {
        image = "ghcr.io/blakeblackshear/frigate:0.16.1";
        devices = [ "/dev/dri/renderD128" ];
        shm_size = "256m";
      };
      whisper.compose.services.whisper = {
        image = "onerahmet/openai-whisper-asr-webservice:v1.9.1-gpu";
        gpus = "all";
      };
    };
  };
}
