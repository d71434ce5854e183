// People as things that three.js draws: a mesh or a skinned rig each, joints and bones. Metres, y up, the camera of the
// picture at the origin, looking along -z.
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

// Layer 1 is seen in the space alone, not over the picture; layer 2 holds the joints.
export const SPACE = 1;
export const JOINTS = 2;

const SIDES = { left: 0x2f6fde, right: 0xe8731a, middle: 0x9aa0a6 };

export function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// What was packed as gzip.
export async function unpacked(text) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function toYUp([x, y, z]) {
  return new THREE.Vector3(x, -y, -z);
}

// The body of a person from its vertices, in camera axes.
function meshOf(vertices, faces) {
  const points = new Float32Array(bytes(vertices).buffer);
  for (let at = 0; at < points.length; at += 3) {
    points[at + 1] = -points[at + 1];
    points[at + 2] = -points[at + 2];
  }
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(points, 3));
  geometry.setIndex(new THREE.BufferAttribute(faces, 1));
  geometry.computeVertexNormals();
  return new THREE.Mesh(geometry, new THREE.MeshStandardMaterial({ color: 0xc8a78f, roughness: 0.9 }));
}

class Joints extends THREE.Group {
  constructor(skeleton) {
    super();
    this.skeleton = skeleton;
    const ball = new THREE.SphereGeometry(0.014, 12, 8);
    this.balls = skeleton.joints.map((name, index) => {
      const one = new THREE.Mesh(ball, new THREE.MeshBasicMaterial({ color: SIDES[skeleton.sides[index]] }));
      one.userData.joint = index;
      this.add(one);
      return one;
    });
    this.bones = skeleton.parents.flatMap((parent, child) => (parent < 0 ? [] : [[parent, child]]));
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(this.bones.length * 6), 3));
    const colors = this.bones.flatMap(([, child]) => {
      const color = new THREE.Color(SIDES[skeleton.sides[child]]);
      return [...color.toArray(), ...color.toArray()];
    });
    geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(colors), 3));
    this.lines = new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ vertexColors: true }));
    this.lines.frustumCulled = false;
    this.add(this.lines);
    this.traverse((part) => part.layers.set(JOINTS));
  }

  place(joints3d) {
    joints3d.forEach((joint, index) => {
      this.balls[index].visible = joint[0] !== null;
      if (joint[0] !== null) this.balls[index].position.copy(toYUp(joint));
    });
    const positions = this.lines.geometry.attributes.position;
    this.bones.forEach(([parent, child], bone) => {
      const both = this.balls[parent].visible && this.balls[child].visible;
      const [from, to] = [this.balls[both ? parent : child], this.balls[child]];
      positions.setXYZ(2 * bone, ...from.position.toArray());
      positions.setXYZ(2 * bone + 1, ...to.position.toArray());
    });
    positions.needsUpdate = true;
  }

  // The angle in degrees between the two bones that meet in a joint, or null.
  angle(index) {
    const children = this.skeleton.parents.flatMap((parent, child) => (parent === index ? [child] : []));
    const parent = this.skeleton.parents[index];
    if (parent < 0 || children.length !== 1) return null;
    const at = this.balls[index].position;
    const [one, other] = [parent, children[0]].map((joint) => this.balls[joint].position.clone().sub(at));
    return THREE.MathUtils.radToDeg(one.angleTo(other));
  }
}

// Everybody in the page by id: what is drawn of them, and how it moves with the frames.
export class Bodies {
  constructor(data) {
    this.data = data;
    this.root = new THREE.Group();
    this.people = new Map();
    for (const frame of data.frames) {
      for (const person of frame.people) if (!this.people.has(person.id)) this.add(person, frame.time);
    }
  }

  add(person, start) {
    const group = new THREE.Group();
    const entry = { id: person.id, group, start, shown: true, mesh: null, joints: null, mixer: null };
    if (person.joints3d) {
      entry.joints = new Joints(this.data.skeletons[person.skeleton3d]);
      group.add(entry.joints);
    }
    if (person.vertices) {
      const faces = new Uint32Array(bytes(this.data.faces).buffer);
      entry.mesh = meshOf(person.vertices, faces);
      group.add(entry.mesh);
    }
    group.traverse((part) => (part.userData.person = person.id));
    this.root.add(group);
    this.people.set(person.id, entry);
  }

  // Loads the rig of a clip, which moves by itself.
  async load() {
    if (!this.data.rig) return;
    const gltf = await new GLTFLoader().parseAsync((await unpacked(this.data.rig)).buffer, "");
    for (const entry of this.people.values()) {
      const name = `person${entry.id}`;
      const found = [];
      gltf.scene.traverse((part) => part.isSkinnedMesh && part.name.startsWith(name) && found.push(part));
      const mesh = found.find((part) => part.name === name);
      if (!mesh) continue;
      mesh.frustumCulled = false;
      const roots = mesh.skeleton.bones.filter((bone) => !bone.parent?.isBone);
      entry.group.add(...roots, mesh);
      entry.mesh = mesh;
      mesh.userData.person = entry.id;
      const clip = gltf.animations.find((animation) => animation.name === name);
      if (clip) {
        entry.mixer = new THREE.AnimationMixer(entry.group);
        entry.mixer.clipAction(clip).setLoop(THREE.LoopOnce).play().clampWhenFinished = true;
      }
    }
  }

  // Moves everybody to a frame; who is not in it is hidden.
  show(number) {
    const frame = this.data.frames[number];
    const present = new Map(frame.people.map((person) => [person.id, person]));
    for (const entry of this.people.values()) {
      const person = present.get(entry.id);
      entry.group.visible = Boolean(person) && entry.shown;
      if (!person) continue;
      if (person.joints3d && entry.joints) entry.joints.place(person.joints3d);
      entry.mixer?.setTime(frame.time - entry.start);
    }
  }

  setMesh(visible, opacity) {
    for (const { mesh } of this.people.values()) {
      if (!mesh) continue;
      mesh.visible = visible;
      mesh.material.transparent = opacity < 1;
      mesh.material.opacity = opacity;
    }
  }
}
