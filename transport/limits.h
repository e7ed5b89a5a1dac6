#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/sampling.h"

namespace shoal {

// Every bound and time-out of the wire in one place.
inline constexpr std::size_t kMaxHeaderBytes = 4096;  // data lane
inline constexpr std::size_t kMaxControlBytes = 1 << 20;
inline constexpr std::size_t kMaxPayloadChunkBytes =
    256 << 10;  // one payload frame: encryption, wire and decryption overlap
inline constexpr std::size_t kMaxOpensBytes = 64 << 10;
inline constexpr std::size_t kMaxShardBytes = 1 << 20;  // payload of one ShardData
inline constexpr std::size_t kMaxHiddenSize = 16384;
inline constexpr std::uint32_t kMaxDevices = 1024;
inline constexpr std::uint32_t kMaxStages = 256;
inline constexpr std::uint32_t kMaxStageWork = 256;  // entries of one beat
inline constexpr std::uint32_t kMaxTensorsPerPlan = 16384;
inline constexpr std::size_t kMaxNameBytes = 128;
inline constexpr std::size_t kMaxReasonBytes = 1024;
inline constexpr std::size_t kMaxEndpointBytes = 300;
inline constexpr std::size_t kMaxConfigBytes = 256 << 10;
inline constexpr std::size_t kMaxPayloadBytes = 32 << 20;  // of one message: 512 rows of 16384 floats
inline constexpr std::size_t kMaxPayloadFrames = kMaxPayloadBytes / kMaxPayloadChunkBytes + 1;
inline constexpr std::size_t kMaxPingBytes = 1 << 20;
inline constexpr std::uint32_t kMaxUnits = 1 << 16;  // also blocks of the head
inline constexpr std::uint32_t kMaxPanels = 1 << 24;
inline constexpr std::uint32_t kMaxCandidates = kMaxVocabSize;  // of one list
inline constexpr std::uint32_t kMaxThreads = 1024;              // of one worker
inline constexpr std::uint32_t kMaxKvKinds = 64;
inline constexpr std::uint32_t kMaxPosition = 1u << 30;
inline constexpr std::uint32_t kMaxOpensPerStep = 32;

inline constexpr int kSendHighWater = 256;  // messages per connection
inline constexpr int kReceiveHighWater = 256;
inline constexpr int kDataReceiveHighWater =
    16;  // each may hold kMaxPayloadBytes; the rest waits at its sender
inline constexpr std::size_t kMaxCurveOverheadBytes = 64;  // what CURVE adds to a frame, for ZMQ_MAXMSGSIZE
inline constexpr int kConnectionBacklog = 128;
inline constexpr std::size_t kMaxOpenJoinTickets =
    64;                                       // join requests not yet answered; the oldest gives way
inline constexpr int kMaxFramesPerWait = 64;  // read from one socket before the next has its turn
inline constexpr auto kLinger = std::chrono::milliseconds(0);  // while running
inline constexpr auto kCloseLinger =
    std::chrono::milliseconds(200);  // last words on the control lane when a process ends
inline constexpr auto kCutDelay = std::chrono::milliseconds(100);  // a revoked peer may still read why
inline constexpr auto kHandshakeTimeout = std::chrono::seconds(3);
inline constexpr auto kReconnectMin = std::chrono::milliseconds(20);
inline constexpr auto kReconnectMax = std::chrono::milliseconds(500);
inline constexpr auto kProbeTimeout = std::chrono::milliseconds(250);  // "does anything listen there?"
inline constexpr auto kProbeAgain =
    std::chrono::milliseconds(5);  // a dying process may close its connections before its listener
inline constexpr int kProbeAttempts = 3;
inline constexpr auto kConnectTimeout = std::chrono::seconds(1);  // to get an answer to a SYN
inline constexpr auto kTcpTimeout =
    std::chrono::seconds(5);  // unacknowledged bytes: the connection is broken
inline constexpr auto kKeepaliveIdle = std::chrono::seconds(2);
inline constexpr auto kKeepaliveInterval = std::chrono::seconds(1);
inline constexpr int kKeepaliveCount = 3;

inline constexpr Duration kTick = std::chrono::milliseconds(10);  // longest sleep of a reactor
inline constexpr Duration kBeatInterval = std::chrono::milliseconds(100);

}  // namespace shoal
