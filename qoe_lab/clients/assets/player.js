// Plays one session with hls.js or dash.js, and reports its events to Python. It runs when the page of the content server is there,
// inside a function that has `session`: library, url, session_id, content_id, and chosen: the representation that the viewer chose,
// counted from the lowest, or null. labRecord() passes an event to Python, without the network.

const SAMPLE_EACH_MS = 250;

function record(event, fields) {
  labRecord(JSON.stringify({ event, t_ms: performance.now(), ...fields }));
}

// hls.js: fatal errors end the playback; it recovers from the others by itself.
function playWithHls(video, heard) {
  const player = new Hls({
    enableWorker: false,
    cmcd: { sessionId: session.session_id, contentId: session.content_id },
  });
  const encoding = (level) => ({ height: level.height, kbps: level.bitrate / 1000 });
  player.on(Hls.Events.MANIFEST_PARSED, () => {
    if (session.chosen !== null) player.currentLevel = Math.min(session.chosen, player.levels.length - 1);
  });
  player.on(Hls.Events.FRAG_LOADED, (_, { frag }) => {
    if (frag.sn === "initSegment") return;
    const { loading, total } = frag.stats;
    heard.segment(encoding(player.levels[frag.level]), total, loading.end - loading.start);
  });
  player.on(Hls.Events.ERROR, (_, error) => {
    if (error.fatal) heard.error(`hls.js: ${error.details}, ${error.response?.code ?? ""} ${error.error?.message ?? ""}`);
  });
  player.loadSource(session.url);
  player.attachMedia(video);
  heard.encodings = () => player.levels.map(encoding);
}

function playWithDash(video, heard) {
  const player = dashjs.MediaPlayer().create();
  const events = dashjs.MediaPlayer.events;
  const encoding = ({ height, bandwidth }) => ({ height, kbps: bandwidth / 1000 });
  player.updateSettings({
    debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE },
    streaming: {
      cmcd: { enabled: true, sid: session.session_id, cid: session.content_id, mode: "query", version: 1 },
    },
  });
  player.on(events.MANIFEST_LOADED, ({ data }) => {
    if (session.chosen === null) return;
    const rates = data.Period[0].AdaptationSet[0].Representation.map((each) => each.bandwidth).sort((a, b) => a - b);
    const kbps = rates[Math.min(session.chosen, rates.length - 1)] / 1000;
    player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false }, initialBitrate: { video: kbps + 1 } } } });
  });
  player.on(events.FRAGMENT_LOADING_COMPLETED, ({ request, error }) => {
    if (request.type !== "MediaSegment" || error) return;
    const of = player.getRepresentationsByType("video").find((each) => each.id === request.representation?.id);
    heard.segment(of ? encoding(of) : {}, request.bytesTotal, request.endDate - request.startDate);
  });
  player.on(events.ERROR, ({ error }) => heard.error(`dash.js: ${error.message ?? error}, code ${error.code ?? ""}`));
  player.initialize(video, session.url, true);
  heard.encodings = () => player.getRepresentationsByType("video").map(encoding);
}

// What is on screen, from the video element itself, so that both libraries are measured in the same way.
function watch(video, heard) {
  let started = false;
  let playingAt = null;
  let stalled = false;
  let shown = null;

  function show() {
    if (!started || video.videoHeight === shown) return;
    shown = video.videoHeight;
    const encoding = heard.encodings().find(({ height }) => height === shown);
    record("switch", { height: shown, kbps: encoding?.kbps });
  }

  video.requestVideoFrameCallback(() => {
    started = true;
    record("first_frame", {});
    show();
  });
  video.addEventListener("resize", show);
  video.addEventListener("playing", () => {
    playingAt ??= performance.now();
    if (stalled) record("stall_end", {});
    stalled = false;
  });
  video.addEventListener("waiting", () => {
    // Before the first frame this is the startup. At the end of the content nothing is missing.
    if (!started || playingAt === null || stalled || video.ended || video.seeking) return;
    stalled = true;
    record("stall_begin", {});
  });
  video.addEventListener("error", () => heard.error(`video: ${video.error?.message}, code ${video.error?.code}`));

  setInterval(() => {
    const quality = video.getVideoPlaybackQuality();
    const { buffered, currentTime } = video;
    let end = currentTime;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime + 0.1) end = Math.max(end, buffered.end(i));
    }
    record("sample", {
      buffer_ms: (end - currentTime) * 1000,
      position_ms: currentTime * 1000,
      height: started ? video.videoHeight : undefined,
      decoded_frames: quality.totalVideoFrames,
      dropped_frames: quality.droppedVideoFrames,
    });
  }, SAMPLE_EACH_MS);

  window.labEnd = () => record("end", { detail: `playing event at ${playingAt} ms` });
}

{
  const video = document.querySelector("video");
  const heard = {
    encodings: () => [],
    error: (detail) => record("error", { detail }),
    segment: (encoding, bytes, took_ms) => record("segment", { ...encoding, bytes, took_ms }),
  };
  watch(video, heard);
  video.autoplay = true;
  if (session.library === "hls.js") playWithHls(video, heard);
  else playWithDash(video, heard);
}
